/**
 * net: the only home of libp2p. Encrypted connections between nodes, streams over them, and who may have either.
 *
 * Every feature that speaks to another node does it through a `Network`: it serves protocols with `handle` and opens
 * streams with `open`. Each connection is secured (TLS 1.3, else Noise), then both sides prove the network key, then
 * the gate is asked, and only then does the other side find anything to talk to. Who has no key may ask for admission
 * in place of the proof, one question and one answer, and is then cut off (`requestAdmission`); a relay lets such a one
 * through to an admin, for the same talk end to end. Types of libp2p never leave this folder. It knows peers by id alone: names, roles and the roster are `member`'s, which gives the rules for gate and
 * proof. Nothing of libp2p is loaded before a network starts.
 *
 * ```ts
 * const network = createNetwork({ privateKey, listen, agent: 'warren/0.1.0', gate, proof, staticPeers, mdns, clock, log, counters })
 * network.handle('/warren/echo/1', (stream) => void stream.pipe(stream))
 * await network.start()
 * const stream = await network.open(peer, '/warren/echo/1')
 * ```
 */

export type { ConnectionKind } from './channel.ts'
export type { Dht, DhtRecord, DhtStatus, FindOptions, PutOptions } from './dht/index.ts'
export { checkNetwork, checkPortsFree } from './doctor.ts'
export { type ReadMessageOptions, readMessage, readMessages, sendMessage, sendParts } from './frames.ts'
export { createNetwork } from './network.ts'
export type { ClockOffset, PathInfo, Reachability, ReachInfo, ReachSettings, RelaySettings } from './path/types.ts'
export { requestAdmission } from './request-admission.ts'
export { type NetRoutesInit, netRoutes } from './routes.ts'
export type {
  AdmissionRequest,
  AdmissionServer,
  ConnectionInfo,
  Direction,
  Gate,
  GateVerdict,
  HandleOptions,
  Network,
  NetworkEvents,
  NetworkInit,
  PassageRules,
  ProofSource,
  Refusal,
  SignalOptions,
  Stream,
} from './types.ts'
