/** Those who ask to be let in: with guesses, replays, old codes, and good codes used for more than they are good for. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { silentLogger } from '../../src/base/log.ts'
import {
  createJoinSecret,
  decodeJoinCode,
  inviteSignerOf,
  type JoinCode,
  signerFromSeed,
  signJoin,
} from '../../src/identity/index.ts'
import { encodeJoinQuestion, encodeRenewQuestion } from '../../src/member/admission-messages.ts'
import { memberContract } from '../../src/member/contract.ts'
import { requestAdmission } from '../../src/net/index.ts'
import type { Daemon } from './daemon.ts'
import { createFleet, type Fleet, type Identity, newIdentity } from './fleet.ts'

/** More than what may fail from one address. */
const GUESSES = 12
const RACERS = 6
/** An attempt comes back in 10 s. */
const FORGIVEN_WITHIN_MS = 30_000

interface Heard {
  readonly refused?: string
  readonly role?: string
  readonly name?: string
}
interface Invited extends JoinCode {
  readonly id: string
}

let fleet: Fleet<'gone'>
let admin: Daemon

beforeAll(async () => {
  fleet = await createFleet({ nodes: 2, attackers: { gone: { role: 'member' } } })
  admin = fleet.daemons[0] as Daemon
})
afterAll(async () => {
  await fleet?.cleanup()
})

async function invite(...words: string[]): Promise<Invited> {
  const made = (await fleet.must(admin, 'invite', '--json', ...words)).json<{ id: string; code: string }>()
  return { ...decodeJoinCode(made.code), id: made.id }
}

type Compose = (facts: { peer: string; transcript: Uint8Array }) => Uint8Array

/** One request to the admin, and the answer; the error's code where there is none. */
async function ask(identity: Identity, compose: Compose): Promise<Heard> {
  const init = { privateKey: identity.seed, addresses: [admin.address], compose, log: silentLogger }
  try {
    return JSON.parse(Buffer.from((await requestAdmission(init)).answer).toString()) as Heard
  } catch (error) {
    return { refused: (error as { code: string }).code }
  }
}

/** A request to join with this secret, with more in it than belongs there. */
function joining(secret: Uint8Array, more: object = {}): Compose {
  return ({ transcript }) => {
    const { keyId } = inviteSignerOf(secret)
    const authority = signerFromSeed(randomBytes(32)).publicKey
    const question = encodeJoinQuestion({
      invite: keyId,
      name: 'guest',
      authority,
      signature: signJoin(secret, transcript),
    })
    return Buffer.from(JSON.stringify({ ...(JSON.parse(question.toString()) as object), ...more }))
  }
}

async function rolesOf(daemon: Daemon): Promise<Record<string, string>> {
  const nodes = await (await daemon.client()).call(memberContract.list, {})
  return Object.fromEntries(nodes.map(({ id, role }) => [id, role]))
}

test('a code gives its own role to one machine, whatever the request claims', async () => {
  const { secret } = await invite('--role', 'viewer')
  const guest = newIdentity('guest')
  const claims = { role: 'admin', labels: { site: 'vault' }, expires: null, uses: 100, id: admin.id }
  expect(await ask(guest, joining(secret, claims))).toMatchObject({ role: 'viewer', name: 'guest' })
  expect((await rolesOf(admin))[guest.id]).toBe('viewer')
  // Asked again after a lost answer, it is the same; anybody else is one too many.
  expect(await ask(guest, joining(secret))).toMatchObject({ role: 'viewer', name: 'guest' })
  expect(await ask(newIdentity('second'), joining(secret))).toEqual({ refused: 'invite_used' })
})

test('of many who use the last of a code at once one gets in', async () => {
  const { secret } = await invite()
  const racers = Array.from({ length: RACERS }, (_, index) => newIdentity(`racer-${index}`))
  const heard = await Promise.all(racers.map((racer) => ask(racer, joining(secret))))
  expect(heard.filter(({ role }) => role === 'member')).toHaveLength(1)
  expect(heard.filter(({ refused }) => refused === 'invite_used')).toHaveLength(RACERS - 1)
  const roles = await rolesOf(admin)
  expect(racers.filter(({ id }) => id in roles)).toHaveLength(1)
})

test('codes that are closed or over, and machines that were removed, are told why and not let in', async () => {
  const closed = await invite()
  await fleet.must(admin, 'uninvite', closed.id, '--json')
  expect(await ask(newIdentity('late'), joining(closed.secret))).toEqual({ refused: 'invite_closed' })
  const over = await invite('--ttl', '1s')
  await new Promise((resolve) => setTimeout(resolve, 1100))
  expect(await ask(newIdentity('late'), joining(over.secret))).toEqual({ refused: 'invite_expired' })
  const good = await invite()
  await fleet.must(admin, 'node', 'remove', 'gone', '--yes', '--json')
  expect(await ask(fleet.attackers.gone, joining(good.secret))).toEqual({ refused: 'node_removed' })
  expect(await rolesOf(admin)).not.toHaveProperty(fleet.attackers.gone.id)
})

test('replays, renewals by strangers and guesses hear nothing, and cost who makes them', async () => {
  const { secret } = await invite('--uses', '2')
  let recorded: Uint8Array = Buffer.alloc(0)
  const honest = newIdentity('honest')
  const recording: Compose = (facts) => {
    recorded = joining(secret)(facts)
    return recorded
  }
  expect(await ask(honest, recording)).toMatchObject({ role: 'member' })
  const before = await rolesOf(admin)
  const thief = newIdentity('thief')
  expect(await ask(thief, () => recorded)).toEqual({ refused: 'admission_refused' })
  expect(await ask(thief, () => encodeRenewQuestion())).toEqual({ refused: 'admission_refused' })
  const guesses = Array.from({ length: GUESSES }, () => ask(thief, joining(createJoinSecret())))
  expect(new Set((await Promise.all(guesses)).map(({ refused }) => refused))).toEqual(new Set(['admission_refused']))
  // With nothing left to try, not even the right secret is heard from there, for a while.
  expect(await ask(thief, joining(secret))).toEqual({ refused: 'admission_refused' })
  expect(await rolesOf(admin)).toEqual(before)
  for (const daemon of fleet.daemons) await daemon.requireWell()
  await fleet.joined()
  await expect
    .poll(() => ask(newIdentity('patient'), joining(secret)), { timeout: FORGIVEN_WITHIN_MS, interval: 2000 })
    .toMatchObject({ role: 'member' })
})
