/**
 * member: the roster on the wire. Who is in the network, how one gets in and out, who may connect, and the API's door
 * for peers.
 *
 * It keeps the rosters of connected nodes equal, answers the gate of net out of them, lets new nodes in by invites,
 * hands the network key over, shows the nodes to people and to the other folders, serves the one API to peers under
 * their rights, and passes requests on to another node. What a statement means is identity's; member signs one only as
 * the admin that this node is, for a person at its own door or for a node that holds an invite, and never decides what
 * a call of another folder does.
 *
 * ```ts
 * const gate = await createGate({ mode: 'roster', roster, file, staticPeers, log })
 * const directory = createDirectory({ roster, network, clock, version })
 * const standing = createStanding({ roster, selfId, clock })
 * const sync = startRosterSync({ network, roster, standing, author, log, counters, clock })
 * const whenExchanged = (peer: string) => sync.whenExchanged(peer)
 * const close = openPeerDoor({ network, router, rightsOf: (peer) => roster.rightsOf(peer), whenExchanged })
 * ```
 */
export { type AdmissionOptions, createAdmission } from './admission.ts'
export type { NodeView } from './contract.ts'
export { createDirectory, type Directory, type DirectoryOptions } from './directory.ts'
export { checkMembership } from './doctor.ts'
export { createGate, type GateOptions, type MemberGate } from './gate.ts'
export { type JoinedNetwork, type JoinOptions, joinNetwork } from './join.ts'
export { createNetworkKeys, type NetworkKeys, type NetworkKeysOptions } from './network-keys.ts'
export { type Renewal, type RenewOptions, renewAdmission } from './protocol/ask-admission.ts'
export { createForwarder } from './protocol/forward.ts'
export { type KeyHandOverOptions, startKeyHandOver } from './protocol/network-key.ts'
export { openPeerDoor, type PeerDoorOptions } from './protocol/peer-door.ts'
export { type RosterSync, type RosterSyncOptions, startRosterSync } from './protocol/roster-sync.ts'
export { type MemberRoutesInit, memberRoutes } from './routes.ts'
export { type Labels, parseSelector, type Selector } from './selector.ts'
export { createStanding, type Standing, type StandingOptions } from './standing.ts'
