import {
  chmodSync,
  createReadStream,
  existsSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeApp, temporaryFolder } from './fixtures/app.ts'
import { importArchive, type PackageHeader } from './import.ts'
import { materialize } from './materialize.ts'
import { packFolder } from './pack.ts'
import { verifyTree } from './verify-tree.ts'

async function imported(): Promise<{ header: PackageHeader; content: Buffer }> {
  const files = {
    'bin/tool': '#!/bin/sh\n',
    'a/b/c.txt': 'deep',
    empty: '',
    'big.bin': crypto.getRandomValues(Buffer.alloc(65_000)),
  }
  const { file } = await packFolder({ folder: makeApp(files), output: temporaryFolder(), signers: [] })
  const dataFile = join(temporaryFolder(), 'data')
  const header = await importArchive({ source: createReadStream(file), dataFile })
  return { header, content: readFileSync(dataFile) }
}

const reader = (content: Buffer) => async (offset: number, length: number) => content.subarray(offset, offset + length)

test('the tree has the package’s files, read-only, executable where they were', async () => {
  const { header, content } = await imported()
  const folder = join(temporaryFolder(), 'deep', 'tree')
  await materialize({ index: header.index, read: reader(content), folder })
  expect(readFileSync(join(folder, 'a/b/c.txt'), 'utf8')).toBe('deep')
  expect(readFileSync(join(folder, 'empty')).length).toBe(0)
  expect(statSync(join(folder, 'bin/tool')).mode & 0o777).toBe(0o555)
  expect(statSync(join(folder, 'a/b/c.txt')).mode & 0o777).toBe(0o444)
  expect(await verifyTree(header.index, folder)).toEqual([])
})

test('a damaged chunk stops it, and the folder is gone', async () => {
  const { header, content } = await imported()
  const spoilt = Buffer.from(content)
  spoilt[spoilt.length - 3]! ^= 1
  const folder = join(temporaryFolder(), 'tree')
  await expect(materialize({ index: header.index, read: reader(spoilt), folder })).rejects.toMatchObject({
    code: 'package_mismatch',
  })
  expect(existsSync(folder)).toBe(false)
})

test('a read that fails or gives too little, and a cancel, leave no folder', async () => {
  const { header, content } = await imported()
  const folder = join(temporaryFolder(), 'tree')
  const failing = async () => Promise.reject(new Error('disk gone'))
  await expect(materialize({ index: header.index, read: failing, folder })).rejects.toThrow('disk gone')
  const short = async (offset: number) => content.subarray(offset, offset + 1)
  await expect(materialize({ index: header.index, read: short, folder })).rejects.toMatchObject({
    code: 'package_mismatch',
  })
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(materialize({ index: header.index, read: reader(content), folder, signal })).rejects.toThrow('enough')
  expect(existsSync(folder)).toBe(false)
})

test('a folder that holds something is refused and left alone', async () => {
  const { header, content } = await imported()
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'mine'), 'precious')
  await expect(materialize({ index: header.index, read: reader(content), folder })).rejects.toMatchObject({
    code: 'invalid_value',
  })
  expect(readFileSync(join(folder, 'mine'), 'utf8')).toBe('precious')
})

test('every difference of an installed tree is found', async () => {
  const { header, content } = await imported()
  const folder = join(temporaryFolder(), 'tree')
  await materialize({ index: header.index, read: reader(content), folder })
  const open = (path: string, mode = 0o644) => chmodSync(join(folder, path), mode)
  open('a/b/c.txt')
  writeFileSync(join(folder, 'a/b/c.txt'), 'DEEP')
  open('bin/tool', 0o444)
  unlinkSync(join(folder, 'empty'))
  writeFileSync(join(folder, 'new'), '')
  const big = readFileSync(join(folder, 'big.bin'))
  unlinkSync(join(folder, 'big.bin'))
  writeFileSync(join(folder, 'elsewhere'), big)
  symlinkSync('elsewhere', join(folder, 'big.bin'))
  const faults = await verifyTree(header.index, folder)
  const sorted = faults.map(({ path, reason }) => `${path} ${reason}`).sort()
  expect(sorted).toEqual([
    'a/b/c.txt changed',
    'big.bin changed',
    'bin/tool mode',
    'elsewhere extra',
    'empty missing',
    'new extra',
  ])
})
