import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockHome, startLocalServer } from './index.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-ops-'))
})
afterEach(() => rm(home, { recursive: true, force: true }))

test('a door whose cookie cannot be written is closed again', async () => {
  await mkdir(join(home, 'run', 'daemon.cookie', 'in-the-way'), { recursive: true })
  await expect(startLocalServer({ home, env: {}, handle: () => undefined })).rejects.toThrow()
  expect(await readdir(join(home, 'run'))).toEqual(['daemon.cookie'])
  await rm(join(home, 'run', 'daemon.cookie'), { recursive: true })
  const door = await startLocalServer({ home, env: {}, handle: () => undefined })
  await door.stop()
})

test('a lock file that is no lock file is named, and not taken for a running daemon', async () => {
  await mkdir(join(home, 'run'))
  const path = join(home, 'run', 'lock.db')
  await writeFile(path, 'garbage '.repeat(1000))
  expect(() => lockHome(home)).toThrow(expect.objectContaining({ code: 'lock_damaged', hint: `rm ${path}` }))
  expect(await readFile(path, 'utf8')).toContain('garbage')
  await rm(path)
  lockHome(home).release()
})
