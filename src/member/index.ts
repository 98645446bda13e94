/**
 * member: the roster on the wire. Who is in the network, who may connect, and the API's door for peers.
 *
 * It keeps the rosters of connected nodes equal, answers the gate of net out of them, shows the nodes to people and
 * to the other folders, serves the one API to peers under their roles, and passes requests on to another node. What a
 * statement means is identity's; member never signs one for a caller, and never decides what a call does.
 *
 * ```ts
 * const gate = await createGate({ mode: 'roster', roster, file, staticPeers, log })
 * const directory = createDirectory({ roster, network, clock, version })
 * const exchange = startRosterExchange({ network, roster, log, counters })
 * const close = openPeerDoor({ network, router, roleOf: (peer) => roster.roleOf(peer), whenExchanged: exchange.whenExchanged })
 * ```
 */
export type { NodeView } from './contract.ts'
export { createDirectory, type Directory, type DirectoryOptions } from './directory.ts'
export { createGate, type GateOptions, type MemberGate } from './gate.ts'
export { createForwarder } from './protocol/forward.ts'
export { openPeerDoor, type PeerDoorOptions } from './protocol/peer-door.ts'
export { type RosterExchange, type RosterExchangeOptions, startRosterExchange } from './protocol/roster-exchange.ts'
export { memberRoutes } from './routes.ts'
export { type Labels, parseSelector, type Selector } from './selector.ts'
