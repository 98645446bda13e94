import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PACKAGE_PAYLOAD_TYPE } from '../bundle/index.ts'
import { sealEnvelope, signerFromSeed } from '../identity/index.ts'
import { addPackage, makePackage, openHome, temporaryFolder } from './fixtures/nodes.ts'
import { type Transfer, type TransferInit, transferErrors } from './index.ts'
import { writeTrees } from './trees.ts'

const noNetwork: TransferInit['network'] = {
  open: () => Promise.reject(new Error('no network here')),
  handle: () => () => undefined,
}

let folder: string
let home: string
const closers: (() => Promise<void>)[] = []

beforeEach(async () => {
  folder = await temporaryFolder()
  home = join(folder, 'home')
})
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
  await rm(folder, { recursive: true, force: true })
})

async function start(init: Partial<TransferInit> = {}): Promise<{ transfer: Transfer; stop: () => Promise<void> }> {
  const { transfer, close } = openHome(home, noNetwork, init)
  await transfer.start()
  let stopped = false
  const stop = async (): Promise<void> => {
    if (stopped) return
    stopped = true
    await transfer.stop()
    close()
  }
  closers.push(stop)
  return { transfer, stop }
}

const files = { 'a.txt': 'hello', 'deep/er/b.bin': Buffer.alloc(300_000, 'xyz'), empty: '' }

test('an archive that was added is listed, written out as it was packed, and still there after a restart', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer, stop } = await start()
  const added = await transfer.add(createReadStream(packed.file), packed.envelope)
  expect(added).toMatchObject({ digest: packed.digest, added: true, complete: true, record: { name: 'hello' } })
  expect(added.signers).toHaveLength(1)
  await stop()
  const again = await start()
  expect(await again.transfer.list()).toMatchObject([{ digest: packed.digest, complete: true }])
  const tree = join(folder, 'tree')
  await again.transfer.materialize(packed.digest, tree)
  expect(await readFile(join(tree, 'deep/er/b.bin'))).toEqual(files['deep/er/b.bin'])
  expect(await readFile(join(tree, 'empty'))).toHaveLength(0)
  expect((await stat(join(tree, 'run.sh'))).mode & 0o777).toBe(0o555)
  expect((await readdir(join(home, 'packages', packed.digest))).sort()).toEqual([
    'index',
    'manifest.yaml',
    'record.json',
    'signature.json',
  ])
})

test('adding again changes nothing but brings new signatures together', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer, stop } = await start()
  await addPackage(transfer, { file: packed.file, envelope: undefined })
  expect((await transfer.get(packed.digest))?.signature).toBeUndefined()
  await addPackage(transfer, packed)
  const second = signerFromSeed(Buffer.alloc(32, 2))
  const { payload } = packed.envelope
  const other = sealEnvelope({ payloadType: PACKAGE_PAYLOAD_TYPE, payload, signers: [second] })
  const again = await transfer.add(createReadStream(packed.file), other)
  expect(again.added).toBe(false)
  await stop()
  const { transfer: reopened } = await start()
  const stored = await reopened.get(packed.digest)
  expect(stored?.signature?.signatures).toHaveLength(2)
  expect(await readdir(join(home, 'store'))).toEqual([packed.digest])
})

test('a damaged archive, one too large and one that is not trusted leave nothing behind', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer } = await start({
    checkTrust: () => {
      throw transferErrors.source_refused('not this one')
    },
  })
  await expect(addPackage(transfer, packed)).rejects.toMatchObject({ code: 'source_refused' })
  const { size } = await stat(packed.file)
  await expect(transfer.add(createReadStream(packed.file, { end: size - 10 }), packed.envelope)).rejects.toMatchObject({
    code: 'archive_damaged',
  })
  const { transfer: small } = await start({ maxPackageBytes: 1000 })
  await expect(addPackage(small, packed)).rejects.toMatchObject({ code: 'package_too_large' })
  expect(await transfer.list()).toEqual([])
  expect(await readdir(join(home, 'store'))).toEqual([])
  expect(await readdir(join(home, 'packages'))).toEqual([])
})

test('what a crash left half made is cleared away at the next start', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer, stop } = await start()
  await addPackage(transfer, packed)
  await stop()
  const orphan = '0'.repeat(64)
  for (const name of ['store/.import-1', `store/${orphan}`, 'packages/.new-1', 'packages/.old-1']) {
    await mkdir(join(home, name), { recursive: true })
    await writeFile(join(home, name, 'data'), 'half')
  }
  const { transfer: next } = await start()
  expect(await next.list()).toHaveLength(1)
  expect(await readdir(join(home, 'store'))).toEqual([packed.digest])
  expect(await readdir(join(home, 'packages'))).toEqual([packed.digest])
})

test('a damaged record is set aside and the other packages go on', async () => {
  const [one, two] = [await makePackage(folder, '1.0.0', files), await makePackage(folder, '2.0.0', files)]
  const { transfer, stop } = await start()
  await addPackage(transfer, one)
  await addPackage(transfer, two)
  await stop()
  await writeFile(join(home, 'packages', one.digest, 'record.json'), '{}')
  const { transfer: next } = await start()
  expect(await next.list()).toMatchObject([{ digest: two.digest }])
  const names = await readdir(join(home, 'packages'))
  expect(names.some((name) => name.startsWith(`${one.digest}.damaged-`))).toBe(true)
  await addPackage(next, one)
  expect(await next.list()).toHaveLength(2)
})

test('a map of chunks that is damaged or lost is made again from the data', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer, stop } = await start()
  await addPackage(transfer, packed)
  await stop()
  await truncate(join(home, 'store', packed.digest, 'have'), 10)
  const { transfer: next } = await start()
  await next.materialize(packed.digest, join(folder, 'tree'))
  expect((await next.get(packed.digest))?.complete).toBe(true)
})

test('bytes that changed on the disk are noticed when they are used, and count as missing', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer } = await start()
  await addPackage(transfer, packed)
  const data = await open(join(home, 'store', packed.digest, 'data'), 'r+')
  await data.write(Buffer.from('?'), 0, 1, 100_000)
  await data.close()
  const tree = join(folder, 'tree')
  await expect(transfer.materialize(packed.digest, tree)).rejects.toMatchObject({ code: 'package_damaged' })
  await expect(stat(tree)).rejects.toThrow()
  expect((await transfer.get(packed.digest))?.complete).toBe(false)
  await expect(transfer.materialize(packed.digest, tree)).rejects.toMatchObject({ code: 'package_incomplete' })
  await addPackage(transfer, packed)
  await transfer.materialize(packed.digest, tree)
})

test('an adopted folder is the only copy, also after a restart; released, its content is kept or goes', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer, stop } = await start()
  await addPackage(transfer, packed)
  const tree = join(home, 'apps', 'hello', 'versions', '1.0.0')
  await transfer.materialize(packed.digest, tree)
  await transfer.adoptTree(packed.digest, tree)
  expect(await readdir(join(home, 'store', packed.digest))).toEqual(['trees.json'])
  await stop()
  const { transfer: next } = await start()
  expect(await next.get(packed.digest)).toMatchObject({ complete: true })
  await expect(next.remove(packed.digest)).rejects.toMatchObject({ code: 'package_in_use' })
  await next.materialize(packed.digest, join(folder, 'copy'))
  await next.releaseTree(packed.digest, tree, { keep: true })
  await rm(tree, { recursive: true })
  await next.materialize(packed.digest, tree)
  await next.adoptTree(packed.digest, tree)
  await next.releaseTree(packed.digest, tree)
  expect(await next.list()).toEqual([])
  expect(await readdir(join(home, 'store'))).toEqual([])
})

test('a folder that differs from the package is not adopted, and the copy stays', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer } = await start()
  await addPackage(transfer, packed)
  const tree = join(folder, 'tree')
  await transfer.materialize(packed.digest, tree)
  await rm(join(tree, 'a.txt'))
  await writeFile(join(tree, 'a.txt'), 'hellO')
  await expect(transfer.adoptTree(packed.digest, tree)).rejects.toMatchObject({ code: 'tree_mismatch' })
  expect(await readdir(join(home, 'store', packed.digest))).toEqual(expect.arrayContaining(['data', 'have']))
})

test('an adoption that a crash cut short is finished, unless the folder has gone', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer, stop } = await start()
  await addPackage(transfer, packed)
  const [kept, gone] = [join(folder, 'kept'), join(folder, 'gone')]
  await transfer.materialize(packed.digest, kept)
  await stop()
  const place = join(home, 'store', packed.digest)
  await writeTrees(place, [gone])
  const { transfer: second, stop: stopSecond } = await start()
  await second.materialize(packed.digest, join(folder, 'copy'))
  expect(await readdir(place)).toContain('data')
  await stopSecond()
  await writeTrees(place, [kept])
  const { transfer: third } = await start()
  await third.materialize(packed.digest, join(folder, 'another'))
  expect(await readdir(place)).toEqual(['trees.json'])
})

test('a removed package is gone, and removing it again says so', async () => {
  const packed = await makePackage(folder, '1.0.0', files)
  const { transfer } = await start()
  await addPackage(transfer, packed)
  await transfer.remove(packed.digest)
  expect(await transfer.list()).toEqual([])
  expect(await readdir(join(home, 'packages'))).toEqual([])
  await expect(transfer.remove(packed.digest)).rejects.toMatchObject({ code: 'package_not_found' })
})
