/**
 * stun: how this node is seen from outside. STUN (RFC 8489, Binding only) with the behaviour tests of RFC 5780.
 *
 * Relays answer: on UDP at the number of their TCP port, on TCP by the connections that begin like STUN, and on a
 * second port for both. Every node asks: `bindingUdp` and `bindingTcp` tell the address and port at which a server sees
 * a local port, which is what a puncher tells the other side, and `measureNat` tells what kind of NAT lies between
 * (RFC 4787). It is never asked of a server that nobody named, and nothing is authenticated by it: who lies about an
 * address costs a connection that fails.
 *
 * ```ts
 * const report = await measureNat({ servers: [{ id, host: '203.0.113.1', port: 9010, alternatePort: 9011 }], signal, clock })
 * describeNat(report) // "EIM/APDF (port-preserving), ..."
 * ```
 */
export { type AnswerTcpOptions, answerStunTcp } from './answer.ts'
export {
  type Binding,
  type BindingTcpOptions,
  type BindingUdpOptions,
  bindingTcp,
  bindingUdp,
  type TcpBinding,
} from './binding.ts'
export { type LocalAddress, localAddresses } from './local-addresses.ts'
export { measureNat } from './measure.ts'
export type { Endpoint } from './message.ts'
export { describeNat, type NatFiltering, type NatMapping, type NatReport, type StunServer } from './nat-report.ts'
export { createStunServer, type RunningStunServer, type StunServerInit } from './server.ts'
