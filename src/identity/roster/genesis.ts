import { randomBytes } from 'node:crypto'
import { toHex } from '../../base/bytes.ts'
import { type Clock, systemClock } from '../../base/clock.ts'
import { keyIdOf, type Signer } from '../ed25519.ts'
import { type Envelope, sealEnvelope, signersOf } from '../envelope.ts'
import { identityErrors } from '../errors.ts'
import { genesisBody } from './bodies.ts'
import { ROSTER_PAYLOAD_TYPE } from './constants.ts'
import { hashOfPayload, parsePayload } from './statement.ts'

/** An admin: its node, and the key that signs its statements. */
export interface Admin {
  readonly id: string
  readonly authority: Uint8Array
  /** Key id of `authority`. */
  readonly keyId: string
}

/** The start of a network, verified. */
export interface Genesis {
  /** SHA-256 of the payload: pinned by every invite and every statement. */
  readonly networkId: string
  readonly root: Uint8Array
  readonly admins: readonly Admin[]
  readonly timeMs: number
  readonly envelope: Envelope
}

/** Makes a network: the genesis signed by the root key and by the first admin's authority key. */
export function createGenesis({
  rootSigner,
  admin,
  clock = systemClock,
}: {
  rootSigner: Signer
  admin: { readonly id: string; readonly authority: Signer }
  clock?: Clock
}): Genesis {
  const payload = Buffer.from(
    JSON.stringify({
      type: 'genesis',
      format: 1,
      root: toBase64(rootSigner.publicKey),
      admins: [{ id: admin.id, authority: toBase64(admin.authority.publicKey) }],
      nonce: toHex(randomBytes(16)),
      time: clock.now(),
    }),
  )
  return openGenesis(
    sealEnvelope({ payloadType: ROSTER_PAYLOAD_TYPE, payload, signers: [rootSigner, admin.authority] }),
  )
}

/**
 * Parses and verifies a genesis from anywhere: root and every first admin must have signed it. Fails with
 * `statement_invalid`. Compare `networkId` with the one that is expected: anybody can make a genesis.
 */
export function openGenesis(envelope: Envelope): Genesis {
  if (envelope.payloadType !== ROSTER_PAYLOAD_TYPE) throw invalid('its payload type is another')
  let value: unknown
  try {
    value = parsePayload(envelope)
  } catch (error) {
    throw invalid((error as Error).message)
  }
  const parsed = genesisBody.safeParse(value)
  if (!parsed.success)
    throw invalid(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '))
  const { root, time } = parsed.data
  const admins = parsed.data.admins.map(({ id, authority }) => ({ id, authority, keyId: keyIdOf(authority) }))
  if (new Set(admins.map(({ id }) => id)).size !== admins.length) throw invalid('an admin is named twice')
  const needed = new Map([root, ...admins.map(({ authority }) => authority)].map((key) => [keyIdOf(key), key]))
  if (signersOf(envelope, [...needed.values()]).length !== needed.size) {
    throw invalid('it is not signed by its root key and every first admin')
  }
  return Object.freeze({ networkId: hashOfPayload(envelope.payload), root, admins, timeMs: time, envelope })
}

/** Fails with `wrong_network` where a roster's genesis is not that of the network expected. */
export function checkNetwork(
  genesis: Genesis,
  { networkId, folder }: { readonly networkId?: string; readonly folder: string },
): void {
  if (networkId !== undefined && networkId !== genesis.networkId) {
    throw identityErrors.wrong_network(`the roster for ${folder} is of network ${genesis.networkId}, not ${networkId}`)
  }
}

/** Standard base64, as keys are written in statements. */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function invalid(what: string): Error {
  return identityErrors.statement_invalid(`the genesis of the network is not valid: ${what}`)
}
