import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Decision } from '../base/decisions.ts'
import { parseSelector } from '../member/selector.ts'
import { fingerprintOf, type Signer, signerFromSeed } from './ed25519.ts'
import { sealEnvelope } from './envelope.ts'
import { createPackageTrust } from './package-trust.ts'
import { formatPublicKey } from './public-key-file.ts'
import type { RosterPolicy } from './roster/state.ts'
import type { TrustRoster } from './trusted-keys.ts'

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

const digest = createHash('sha256').update(recordBytes).digest('hex')
const NOW_MS = 1_700_000_000_000

const signedBy = (...signers: Signer[]) => ({
  recordBytes,
  signature: sealEnvelope({ payloadType, payload: recordBytes, signers }),
  name: 'api',
  version: '1.4.1',
  digest,
})

interface Planned {
  readonly trusted?: Record<string, Signer>
  readonly expires?: Record<string, number>
  /** Revoked, with the digests that are kept. */
  readonly revoked?: Record<string, [Signer, ...string[]]>
  readonly policies?: readonly Partial<RosterPolicy>[]
}
const rosterOf = ({ trusted = {}, expires = {}, revoked = {}, policies = [] }: Planned): TrustRoster => ({
  state: {
    keys: new Map(
      Object.entries(trusted).map(([name, { keyId, publicKey }]) => [
        keyId,
        { keyId, name, publicKey, revision: 1, expires: expires[name] ?? null, author: 'x' },
      ]),
    ),
    revokedKeys: new Map(
      Object.entries(revoked).map(([name, [{ keyId }, ...keep]]) => [keyId, { name, keep: new Set(keep) }]),
    ),
    policies: new Map(
      policies.map((policy, index) => {
        const name = policy.name ?? `p${index}`
        const base = { packages: ['*'], labels: '', keys: [], threshold: 1, minVersion: null, revision: 1, author: 'x' }
        return [name, { ...base, ...policy, name }]
      }),
    ),
  },
  latestTimeMs: () => NOW_MS,
})
interface Settings {
  readonly requireSigned?: boolean
  readonly labels?: Record<string, string>
  readonly told?: Decision[]
}
const trustOf = (planned?: Planned, { requireSigned = true, labels = {}, told = [] }: Settings = {}) =>
  createPackageTrust({
    trustedFolder: folder,
    roster: planned && rosterOf(planned),
    settings: { requireSigned },
    labels: () => labels,
    selects: (selector, given) => parseSelector(selector)(given),
    tell: (decision) => told.push(decision),
  })
const copyKey = (name: string, signer: Signer) =>
  writeFile(join(folder, `${name}.pub`), formatPublicKey(signer.publicKey, name))

test('a package signed by a key of the roster or of the folder is accepted, and its signers are named', async () => {
  await copyKey('bob', bob)
  const trust = trustOf({ trusted: { alice } })
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
  const error = await trustOf({ trusted: { alice, ci } })
    .check(signedBy(bob))
    .catch((thrown: Error) => thrown)
  expect(error).toMatchObject({ code: 'untrusted_key', hint: expect.stringContaining('warren key trust') })
  const { message } = error as Error
  expect(message).toContain(`api 1.4.1 is signed by a key (ed25519 ${fingerprintOf(bob.keyId)})`)
  expect(message).toContain(`Trusted: alice (${fingerprintOf(alice.keyId)}), ci (${fingerprintOf(ci.keyId)})`)
})

test('a revoked key is refused by name, even where a local file trusts it', async () => {
  await copyKey('bob', bob)
  const trust = trustOf({ trusted: { alice }, revoked: { bob: [bob] } })
  await expect(trust.check(signedBy(bob))).rejects.toMatchObject({
    code: 'untrusted_key',
    message: expect.stringContaining('"bob"'),
  })
  expect((await trust.keys()).keys.map(({ name }) => name)).toEqual(['alice'])
})

test.each([true, false])(
  'changed packages and signatures are refused (signatures required: %s)',
  async (requireSigned) => {
    const trust = trustOf({ trusted: { alice } }, { requireSigned })
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
  await expect(trustOf({ trusted: { alice, ci } }).check({ ...good, signature: both })).rejects.toMatchObject({
    code: 'bad_signature',
  })
})

test('an unsigned package is refused, or accepted with a warning where signatures are not required', async () => {
  const unsigned = { ...signedBy(alice), signature: undefined }
  await expect(trustOf().check(unsigned)).rejects.toMatchObject({ code: 'package_unsigned' })
  const { signers, warning } = await trustOf(undefined, { requireSigned: false }).check(unsigned)
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

test('a key that expired counts no more, by the newest time that is known, and not by a local file either', async () => {
  const expires = { alice: NOW_MS, bob: NOW_MS + 1 }
  const trust = trustOf({ trusted: { alice, bob }, expires })
  await copyKey('alice', alice)
  await expect(trust.check(signedBy(alice))).rejects.toMatchObject({
    code: 'untrusted_key',
    message: expect.stringContaining('"alice"'),
  })
  await expect(trust.check(signedBy(alice))).rejects.toThrow(`trusted until ${new Date(NOW_MS).toISOString()}`)
  expect((await trust.check(signedBy(bob))).signers).toMatchObject([{ name: 'bob' }])
  expect((await trust.check(signedBy(alice, bob))).signers).toMatchObject([{ name: 'bob' }])
})

test('of a revoked key only the packages that the revocation keeps are accepted', async () => {
  const kept = await trustOf({ revoked: { bob: [bob, digest] } }).check(signedBy(bob))
  expect(kept.signers).toEqual([{ keyId: bob.keyId, name: 'bob', source: 'kept' }])
  const others = trustOf({ revoked: { bob: [bob, 'f'.repeat(64)] } })
  await expect(others.check(signedBy(bob))).rejects.toMatchObject({ code: 'untrusted_key' })
  const policies = [{ keys: [bob.keyId] }]
  expect((await trustOf({ revoked: { bob: [bob, digest] }, policies }).check(signedBy(bob))).signers).toHaveLength(1)
})

test('a policy asks for so many signatures by different keys that it names', async () => {
  const trusted = { alice, bob, ci }
  const policies = [{ name: 'two', keys: [alice.keyId, bob.keyId], threshold: 2 }]
  const trust = trustOf({ trusted, policies })
  expect((await trust.check(signedBy(alice, bob))).signers).toHaveLength(2)
  expect((await trust.check(signedBy(ci, bob, alice))).signers).toHaveLength(3)
  for (const signers of [[alice], [ci], [alice, ci], [alice, alice]]) {
    const error = await trust.check(signedBy(...signers)).catch((thrown: Error) => thrown)
    expect(error).toMatchObject({ code: 'policy_refused', details: { policy: 'two', threshold: 2 } })
    expect((error as Error).message).toContain(
      `the policy "two" asks for 2 signatures of "alice" (ed25519 ${fingerprintOf(alice.keyId)}), "bob"`,
    )
    expect((error as Error).message).toContain(`signed by "${signers[0] === ci ? 'ci' : 'alice'}"`)
  }
})

test('a named key that is no longer trusted does not count for a policy', async () => {
  const policies = [{ keys: [alice.keyId, bob.keyId] }]
  const both = signedBy(alice, ci)
  const expired = trustOf({ trusted: { alice, ci }, expires: { alice: 1 }, policies })
  await expect(expired.check(both)).rejects.toMatchObject({ code: 'policy_refused' })
  const revoked = trustOf({ trusted: { ci }, revoked: { alice: [alice] }, policies })
  await expect(revoked.check(both)).rejects.toMatchObject({ code: 'policy_refused' })
})

test('a policy without keys counts every trusted signature', async () => {
  const trust = trustOf({ trusted: { alice, ci }, policies: [{ threshold: 2 }] })
  await expect(trust.check(signedBy(alice, bob))).rejects.toMatchObject({ code: 'policy_refused' })
  await copyKey('bob', bob)
  expect((await trust.check(signedBy(alice, bob))).signers).toHaveLength(2)
})

test.each([
  ['api', undefined, true],
  ['ap*', undefined, true],
  ['*', undefined, true],
  ['web', undefined, false],
  ['web', 'web', true],
  ['we*', 'web', true],
  ['api-*', undefined, false],
])('a policy for %s speaks of api, installed as %s: %s', async (pattern, app, speaks) => {
  const trust = trustOf({ trusted: { alice }, policies: [{ packages: [pattern], threshold: 2 }] })
  const check = trust.check({ ...signedBy(alice), app })
  if (speaks) await expect(check).rejects.toMatchObject({ code: 'policy_refused' })
  else await expect(check).resolves.toMatchObject({ signers: [{ name: 'alice' }] })
})

test('a policy holds on nodes with its labels only, and everywhere where its selector cannot be read', async () => {
  const planned = (labels: string) => ({ trusted: { alice }, policies: [{ labels, threshold: 2 }] })
  const on = (selector: string, labels: Record<string, string>) =>
    trustOf(planned(selector), { labels }).check(signedBy(alice))
  await expect(on('tier=prod', { tier: 'prod' })).rejects.toMatchObject({ code: 'policy_refused' })
  await expect(on('tier=prod', { tier: 'test' })).resolves.toBeDefined()
  await expect(on('tier=prod', {})).resolves.toBeDefined()
  await expect(on('tier ~ prod', {})).rejects.toMatchObject({ code: 'policy_refused' })
})

test('a package older than a policy allows is refused, and all policies must hold', async () => {
  const at = (minVersion: string) => trustOf({ trusted: { alice }, policies: [{}, { name: 'fix', minVersion }] })
  for (const version of ['1.4.1', '1.4.0', '1.4.1-rc.1']) {
    await expect(at(version).check(signedBy(alice))).resolves.toBeDefined()
  }
  for (const version of ['1.4.2', '1.5.0-a', '10.0.0', 'not a version']) {
    await expect(at(version).check(signedBy(alice))).rejects.toMatchObject({
      code: 'version_too_old',
      message: expect.stringContaining('the policy "fix"'),
    })
  }
})

test('a policy asks for signatures even where this node does not', async () => {
  const unsigned = { ...signedBy(alice), signature: undefined }
  const open = trustOf({ policies: [{ packages: ['web'] }] }, { requireSigned: false })
  expect((await open.check(unsigned)).warning).toBeDefined()
  const asked = trustOf({ policies: [{ packages: ['api'] }] }, { requireSigned: false })
  await expect(asked.check(unsigned)).rejects.toMatchObject({
    code: 'policy_refused',
    message: expect.stringContaining('signed by no trusted key'),
  })
})

test('every answer is told, with who asked for it', async () => {
  const told: Decision[] = []
  const trust = trustOf({ trusted: { alice } }, { told })
  await trust.check({ ...signedBy(alice), by: 'some node' })
  await trust.check({ ...signedBy(bob), app: 'web' }).catch(() => undefined)
  expect(told).toMatchObject([
    { what: 'package', outcome: 'allowed', by: 'some node', subject: 'api 1.4.1', detail: { signers: alice.keyId } },
    {
      outcome: 'refused',
      by: null,
      reason: expect.stringContaining('untrusted_key: '),
      detail: { digest, app: 'web' },
    },
  ])
})
