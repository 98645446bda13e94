import type { ConnectionEncrypter } from '@libp2p/interface'
import { toWarrenError } from '../base/errors.ts'
import type { AdmissionDesk } from './admission-desk.ts'
import { DIALLER_PROOF_TIMEOUT_MS, PROOF_TIMEOUT_MS } from './constants.ts'
import { netErrors } from './errors.ts'
import { requestTranscript } from './proof.ts'
import { channelBinding, greetAsListener, noncesOf, proveAsDialler, proveAsListener } from './proof-exchange.ts'
import { type SecuredChannel, type TalkOptions, talkingEncrypter } from './talking-encrypter.ts'
import type { Gate, ProofSource, Refusal } from './types.ts'

export interface ProvingInit {
  /** This node's peer id. */
  self: string
  gate: Gate
  proof: ProofSource
  /** Where those go who ask for admission in place of the proof. */
  desk: AdmissionDesk
  /** Where those go who ask a relay to be let through to an admin; without it nobody is. */
  passages?: AdmissionDesk | undefined
  /** Hears of every connection that the proof or the gate does not let through. */
  onRefused: (refusal: Refusal) => void
}

/**
 * The talk that lets a connection through only when both sides have proved the network key over the secured channel and
 * the gate allows the peer. It is held before the muxer, so that a stranger finds no protocol to ask.
 */
export function provingTalk(init: ProvingInit): (secured: SecuredChannel) => Promise<void> {
  return async (secured) => {
    const asked = await prove(secured, init).catch((thrown: unknown) => refuse(thrown, secured, init))
    if (asked === undefined) return
    const { purpose, ...asking } = asked
    if (purpose === 'admission') await init.desk.attend(asking)
    else await init.passages?.attend(asking)
    throw new Error('a connection for a request ends with it')
  }
}

/**
 * The talk with a stranger whom a relay has let through: about admission, and about nothing else. Fails as the proof
 * does with who wants anything else.
 */
export function admissionTalk({ self, desk }: Pick<ProvingInit, 'self' | 'desk'>) {
  return async ({ channel, peer, address, protocol, signal: host }: SecuredChannel): Promise<void> => {
    const timeout = AbortSignal.timeout(PROOF_TIMEOUT_MS)
    const signal = host === undefined ? timeout : AbortSignal.any([timeout, host])
    const { purpose, nonces } = await greetAsListener(channel, signal)
    if (purpose !== 'admission') throw netErrors.protocol_unsupported('it has not asked for admission')
    const binding = channelBinding(protocol, channel, purpose)
    const context = { channel: protocol, dialler: peer, listener: self, binding, ...nonces }
    await desk.attend({ channel, peer, address, transcript: requestTranscript(purpose, context) })
  }
}

/** An encrypter of libp2p's with the proof on its channels. */
export function provingEncrypter<C>(
  inner: (components: C) => ConnectionEncrypter,
  init: ProvingInit,
  options: TalkOptions = {},
): (components: C) => ConnectionEncrypter {
  return talkingEncrypter(inner, provingTalk(init), options)
}

/** Resolves to the talk that the dialler wants in place of the proof; undefined where the proof has succeeded. */
async function prove(secured: SecuredChannel, { self, gate, proof, passages }: ProvingInit) {
  const { channel, peer, address, direction, protocol } = secured
  const timeout = AbortSignal.timeout(direction === 'outbound' ? DIALLER_PROOF_TIMEOUT_MS : PROOF_TIMEOUT_MS)
  const signal = secured.signal === undefined ? timeout : AbortSignal.any([timeout, secured.signal])
  const known = { networkId: proof.networkId(), channel: protocol }
  const keys = proof.keys()
  if (direction === 'outbound') {
    const verdict = gate.allow(peer, direction)
    if (!verdict.allowed) throw netErrors.peer_not_allowed(verdict.reason)
    const binding = channelBinding(protocol, channel, 'proof')
    const context = { ...known, dialler: self, listener: peer, binding }
    await proveAsDialler({ channel, keys, context, signal })
    return undefined
  }
  const { purpose, nonces } = await greetAsListener(channel, signal)
  if (purpose === 'passage' && passages === undefined) {
    throw netErrors.protocol_unsupported('it asks for a passage, and this node lets nobody through')
  }
  const binding = channelBinding(protocol, channel, purpose)
  const context = { ...known, dialler: peer, listener: self, binding, ...nonces }
  if (purpose !== 'proof') return { purpose, channel, peer, address, transcript: requestTranscript(purpose, context) }
  const proved = { ...context, ...noncesOf(binding, nonces) }
  await proveAsListener({ channel, keys, context: proved, signal, admit: () => gate.allow(peer, direction) })
  return undefined
}

function refuse(thrown: unknown, { peer, address, direction, signal }: SecuredChannel, init: ProvingInit): never {
  const error = toWarrenError(thrown)
  const cause = error.code === 'peer_not_allowed' || error.code === 'peer_refused' ? 'gate' : 'proof'
  // A dial that this node gave up was refused by nobody.
  const givenUp = direction === 'outbound' && signal?.aborted === true
  if (!givenUp) init.onRefused({ peer, address, code: error.code, reason: error.message, cause, direction })
  throw error
}
