import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fingerprintOf, type Signer, signerFromSeed } from './ed25519.ts'
import { sealEnvelope } from './envelope.ts'
import { createPackageTrust } from './package-trust.ts'
import { formatPublicKey } from './public-key-file.ts'

const payloadType = 'application/vnd.warren.package.v1+json'
const recordBytes = Buffer.from('{"name":"api"}')
const [alice, bob, ci] = [1, 2, 3].map((fill) => signerFromSeed(new Uint8Array(32).fill(fill))) as [
  Signer,
  Signer,
  Signer,
]

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-trust-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const signedBy = (...signers: Signer[]) => ({
  recordBytes,
  signature: sealEnvelope({ payloadType, payload: recordBytes, signers }),
  name: 'api',
  version: '1.4.1',
})
const rosterOf = (trusted: Record<string, Signer>, revoked: Record<string, Signer> = {}) => ({
  state: {
    keys: new Map(
      Object.entries(trusted).map(([name, { keyId, publicKey }]) => [
        keyId,
        { keyId, name, publicKey, revision: 1, author: 'x' },
      ]),
    ),
    revokedKeys: new Map(Object.entries(revoked).map(([name, { keyId }]) => [keyId, name])),
  },
})
const trustOf = (roster?: ReturnType<typeof rosterOf>, requireSigned = true) =>
  createPackageTrust({ trustedFolder: folder, roster, settings: { requireSigned } })
const copyKey = (name: string, signer: Signer) =>
  writeFile(join(folder, `${name}.pub`), formatPublicKey(signer.publicKey, name))

test('a package signed by a key of the roster or of the folder is accepted, and its signers are named', async () => {
  await copyKey('bob', bob)
  const trust = trustOf(rosterOf({ alice }))
  expect((await trust.check(signedBy(alice))).signers).toMatchObject([{ name: 'alice', source: 'roster' }])
  expect((await trust.check(signedBy(bob))).signers).toMatchObject([{ name: 'bob', source: 'folder' }])
  expect((await trust.check(signedBy(ci, bob, alice))).signers).toHaveLength(2)
})

test('a .pub file counts as soon as it is copied, and no longer once it is gone', async () => {
  const trust = trustOf()
  await expect(trust.check(signedBy(ci))).rejects.toMatchObject({ code: 'untrusted_key' })
  await copyKey('ci', ci)
  expect((await trust.check(signedBy(ci))).signers).toMatchObject([{ name: 'ci' }])
  await rm(join(folder, 'ci.pub'))
  await expect(trust.check(signedBy(ci))).rejects.toMatchObject({ code: 'untrusted_key' })
})

test('a stranger’s package is refused with who signed, who is trusted, and the next step', async () => {
  const error = await trustOf(rosterOf({ alice, ci }))
    .check(signedBy(bob))
    .catch((thrown: Error) => thrown)
  expect(error).toMatchObject({ code: 'untrusted_key', hint: expect.stringContaining('warren key trust') })
  const { message } = error as Error
  expect(message).toContain(`api 1.4.1 is signed by a key (ed25519 ${fingerprintOf(bob.keyId)})`)
  expect(message).toContain(`Trusted: alice (${fingerprintOf(alice.keyId)}), ci (${fingerprintOf(ci.keyId)})`)
})

test('a revoked key is refused by name, even where a local file trusts it', async () => {
  await copyKey('bob', bob)
  const trust = trustOf(rosterOf({ alice }, { bob }))
  await expect(trust.check(signedBy(bob))).rejects.toMatchObject({
    code: 'untrusted_key',
    message: expect.stringContaining('"bob"'),
  })
  expect((await trust.keys()).keys.map(({ name }) => name)).toEqual(['alice'])
})

test.each([true, false])(
  'changed packages and signatures are refused (signatures required: %s)',
  async (requireSigned) => {
    const trust = trustOf(rosterOf({ alice }), requireSigned)
    const good = signedBy(alice)
    await expect(trust.check({ ...good, recordBytes: Buffer.from('{"name":"evil"}') })).rejects.toMatchObject({
      code: 'bad_signature',
    })
    const sig = Uint8Array.from(good.signature.signatures[0]?.sig ?? [])
    sig[5] = (sig[5] as number) ^ 1
    const forged = { ...good.signature, signatures: [{ keyid: alice.keyId, sig }] }
    await expect(trust.check({ ...good, signature: forged })).rejects.toMatchObject({ code: 'bad_signature' })
    await expect(trust.check(signedBy(bob))).rejects.toMatchObject({ code: 'untrusted_key' })
  },
)

test('one forged signature spoils a good one beside it', async () => {
  const good = signedBy(alice)
  const forged = { keyid: ci.keyId, sig: new Uint8Array(64) }
  const both = { ...good.signature, signatures: [...good.signature.signatures, forged] }
  await expect(trustOf(rosterOf({ alice, ci })).check({ ...good, signature: both })).rejects.toMatchObject({
    code: 'bad_signature',
  })
})

test('an unsigned package is refused, or accepted with a warning where signatures are not required', async () => {
  const unsigned = { ...signedBy(alice), signature: undefined }
  await expect(trustOf().check(unsigned)).rejects.toMatchObject({ code: 'package_unsigned' })
  const { signers, warning } = await trustOf(undefined, false).check(unsigned)
  expect(signers).toEqual([])
  expect(warning).toContain('api 1.4.1 is not signed')
})

test('a bad file in the folder spoils no other', async () => {
  await copyKey('alice', alice)
  await mkdir(join(folder, 'odd.pub'))
  await writeFile(join(folder, 'bad.pub'), 'nonsense')
  const { keys, warnings } = await trustOf().keys()
  expect(keys.map(({ name }) => name)).toEqual(['alice'])
  expect(warnings).toHaveLength(2)
})
