import { createReadStream } from 'node:fs'
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Caller, Route } from '../api/contract.ts'
import { readFileBounded } from '../base/files.ts'
import { encodeEnvelope } from '../identity/index.ts'
import { frameUpload, transferContract } from './contract.ts'
import { makePackage, openHome, temporaryFolder } from './fixtures/nodes.ts'
import { type Transfer, transferRoutes } from './index.ts'
import { receiveUpload } from './receive-upload.ts'

async function* packageUpload(file: string, signatureFile: string | undefined) {
  const signature = signatureFile === undefined ? undefined : await readFileBounded(signatureFile, 64 * 1024)
  yield* frameUpload(signature, createReadStream(file))
}

let folder: string
let transfer: Transfer
let close: () => void

beforeEach(async () => {
  folder = await temporaryFolder()
  const noNetwork = { open: () => Promise.reject(new Error('none')), handle: () => () => undefined }
  ;({ transfer, close } = openHome(join(folder, 'home'), noNetwork))
  await transfer.start()
})
afterEach(async () => {
  await transfer.stop()
  close()
  await rm(folder, { recursive: true })
})

/** What the route of a call answers, checked by the contract's schema. */
async function answer(call: (typeof transferContract)[keyof typeof transferContract], input: object): Promise<unknown> {
  const route = transferRoutes(transfer).find((found) => found.call === call) as Route
  const signal = new AbortController().signal
  const caller: Caller = { door: 'peer', id: 'p1', rights: { role: 'operator', grants: [] } }
  return call.response.parse(await route.handle({ signal, caller, ...input } as Parameters<Route['handle']>[0]))
}

test('an uploaded package is stored, listed, shown and removed', async () => {
  const packed = await makePackage(folder, '1.2.3', { 'a.txt': 'hello' })
  const { digest } = packed
  const upload = packageUpload(packed.file, packed.signatureFile)
  const stored = { digest, name: 'hello', version: '1.2.3', size: packed.record.bytes, added: true }
  expect(await answer(transferContract.upload, { upload })).toMatchObject({ ...stored, signers: [{ name: 'test' }] })
  const view = { digest, name: 'hello', complete: true, files: 3, keys: [packed.envelope.signatures[0]?.keyid] }
  expect(await answer(transferContract.list, {})).toMatchObject([view])
  expect(await answer(transferContract.get, { params: { digest } })).toMatchObject(view)
  expect(await answer(transferContract.remove, { params: { digest } })).toEqual({ removed: true })
  await expect(answer(transferContract.get, { params: { digest } })).rejects.toMatchObject({
    code: 'package_not_found',
  })
})

test('without a signature file the upload is unsigned', async () => {
  const packed = await makePackage(folder, '1.2.4', {})
  await answer(transferContract.upload, { upload: packageUpload(packed.file, undefined) })
  await answer(transferContract.upload, { upload: packageUpload(packed.file, join(folder, 'missing.sig')) })
  expect((await transfer.get(packed.digest))?.signature).toBeUndefined()
})

test('a signature that is malformed, and one of another package, are refused', async () => {
  const [one, two] = [await makePackage(folder, '1.2.5', {}), await makePackage(folder, '1.2.6', {})]
  const upload = packageUpload(one.file, two.signatureFile)
  await expect(answer(transferContract.upload, { upload })).rejects.toMatchObject({ code: 'upload_invalid' })
  await writeFile(join(folder, 'bad.sig'), '{"payload":1}')
  const bad = packageUpload(one.file, join(folder, 'bad.sig'))
  await expect(answer(transferContract.upload, { upload: bad })).rejects.toMatchObject({ code: 'envelope_invalid' })
  expect(await transfer.list()).toEqual([])
})

test('a body that ends early or announces a huge signature is refused before it is read', async () => {
  let given = 0
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (; given < 100; given++) yield Buffer.alloc(1000, 0xff)
  }
  await expect(receiveUpload(endless())).rejects.toMatchObject({ code: 'upload_invalid' })
  expect(given).toBeLessThan(3)
  const short = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from([0, 0, 0])
  }
  await expect(receiveUpload(short())).rejects.toMatchObject({ code: 'upload_invalid' })
})

test('the archive arrives as it was, however the body is cut into pieces', async () => {
  const file = join(folder, 'archive')
  await appendFile(file, Buffer.from('the bytes of an archive'))
  const parts: Uint8Array[] = []
  for await (const part of packageUpload(file, undefined)) parts.push(part)
  const body = Buffer.concat(parts)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(body.length)), async (cuts) => {
      const places = [0, ...cuts.sort((a, b) => a - b), body.length]
      const pieces = async function* (): AsyncGenerator<Uint8Array> {
        for (const [at, place] of places.entries()) if (at > 0) yield body.subarray(places[at - 1], place)
      }
      const { archive, signature } = await receiveUpload(pieces())
      const received: Uint8Array[] = []
      for await (const part of archive) received.push(part)
      expect(signature).toBeUndefined()
      expect(Buffer.concat(received)).toEqual(await readFile(file))
    }),
  )
})

test('an upload adds signatures to a package and takes none away, however many it brings', async () => {
  const packed = await makePackage(folder, '1.3.0', { 'a.txt': 'hello' })
  const { signatures } = packed.envelope
  const garbage = (index: number) => ({
    keyid: index.toString(16).padStart(64, '0'),
    sig: new Uint8Array(64).fill(index),
  })
  const send = async (...more: ReturnType<typeof garbage>[]) => {
    const envelope = encodeEnvelope({ ...packed.envelope, signatures: [...signatures, ...more] })
    await answer(transferContract.upload, { upload: frameUpload(envelope, createReadStream(packed.file)) })
  }
  await send(garbage(1))
  // The sixteen that are kept, among them another one by the first.
  await send(
    { ...garbage(1), sig: new Uint8Array(64).fill(99) },
    ...Array.from({ length: 14 }, (_, index) => garbage(index + 2)),
  )
  const kept = (await transfer.get(packed.digest))?.signature?.signatures ?? []
  expect(kept).toHaveLength(16)
  expect(kept).toEqual(expect.arrayContaining([...signatures, garbage(1)]))
  await send(garbage(20), garbage(21))
  expect((await transfer.get(packed.digest))?.signature?.signatures).toEqual(expect.arrayContaining([garbage(1)]))
})

test('the check of an uploaded package is told who brought it', async () => {
  const asked: unknown[] = []
  await transfer.stop()
  close()
  const noNetwork = { open: () => Promise.reject(new Error('none')), handle: () => () => undefined }
  const checkTrust = (question: unknown) => {
    asked.push(question)
    return { signers: [] }
  }
  ;({ transfer, close } = openHome(join(folder, 'other'), noNetwork, { checkTrust }))
  await transfer.start()
  const packed = await makePackage(folder, '1.4.0', {})
  await answer(transferContract.upload, { upload: packageUpload(packed.file, packed.signatureFile) })
  expect(asked).toEqual([expect.objectContaining({ name: 'hello', version: '1.4.0', by: 'p1' })])
})
