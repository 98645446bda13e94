import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  addPackage,
  introduce,
  makePackage,
  noise,
  startNode,
  type TestNode,
  temporaryFolder,
} from './fixtures/nodes.ts'

const run = promisify(execFile)
const MIB = 1024 * 1024

let folder: string
let source: TestNode
const cleanups: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  folder = await temporaryFolder()
  source = await startNode()
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  await source.stop()
  await rm(folder, { recursive: true, force: true })
})

test('killed in the middle, a fetch goes on and moves nothing twice that was flushed', {
  timeout: 60_000,
}, async () => {
  const content = noise('killed', 12 * MIB)
  const packed = await makePackage(folder, '1.0.0', { 'big.bin': content })
  await addPackage(source.transfer, packed)
  const home = join(folder, 'home')
  const script = join(import.meta.dirname, 'fixtures', 'fetch-process.ts')
  const address = source.network.addresses()[0] as string
  const child = spawn(process.execPath, [script, home, packed.digest, source.id, address], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    if (Number(line) > packed.record.bytes / 2) child.kill('SIGKILL')
  }
  expect(await exited).toEqual([null, 'SIGKILL'])

  const again = await startNode({ home })
  cleanups.push(() => again.stop())
  await introduce(again.network, source.network)
  expect((await again.transfer.get(packed.digest))?.complete).toBe(false)
  const rest = await again.transfer.fetch(packed.digest, { sources: [source.id] })
  expect(rest.movedBytes).toBeGreaterThan(0)
  expect(rest.movedBytes).toBeLessThan(packed.record.bytes * 0.7)
  // 2 MiB not flushed, two requests of 256 KiB, and what the source had read ahead.
  const twice = source.counters.get('transfer_sent_bytes') - packed.record.bytes
  expect(twice).toBeLessThanOrEqual(4 * MIB)
  await again.transfer.materialize(packed.digest, join(folder, 'tree'))
  expect((await readFile(join(folder, 'tree', 'big.bin'))).equals(content)).toBe(true)
})

/** A small file system of its own; undefined where this user may not make one. */
async function smallDisk(sizeMiB: number): Promise<string | undefined> {
  const path = join(folder, 'disk')
  await mkdir(path)
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'tmpfs', path])
  } catch {
    return undefined
  }
  cleanups.push(() => run('umount', [path]))
  return path
}

/** Takes all the space there is, at once, until the file is removed. */
function fillDisk(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (;;) writeSync(file, Buffer.alloc(64 * 1024))
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC')
  } finally {
    closeSync(file)
  }
}

test('a disk that fills up stops a fetch cleanly, and it goes on once there is space', async (context) => {
  const disk = await smallDisk(64)
  if (disk === undefined) return context.skip('mounting a small tmpfs needs root')
  const packed = await makePackage(folder, '1.0.0', { 'big.bin': noise('full', 16 * MIB) })
  await addPackage(source.transfer, packed)
  const target = await startNode({ home: join(disk, 'home'), limits: { flushBytes: MIB, maxUnflushedBytes: 2 * MIB } })
  cleanups.push(() => target.stop())
  await introduce(target.network, source.network)
  const filler = join(disk, 'filler')
  let filled = false
  const fetching = target.transfer.fetch(packed.digest, {
    sources: [source.id],
    onProgress: ({ bytes }) => {
      if (filled || bytes < 4 * MIB) return
      filled = true
      fillDisk(filler)
    },
  })
  await expect(fetching).rejects.toMatchObject({ code: 'disk_full' })
  const before = target.counters.get('transfer_received_bytes')
  await expect(target.transfer.fetch(packed.digest, { sources: [source.id] })).rejects.toMatchObject({
    code: 'disk_full',
  })
  expect(target.counters.get('transfer_received_bytes')).toBe(before)
  await rm(filler)
  const rest = await target.transfer.fetch(packed.digest, { sources: [source.id] })
  expect(rest.movedBytes).toBeLessThan(packed.record.bytes - 2 * MIB)
  expect(rest.complete).toBe(true)
})
