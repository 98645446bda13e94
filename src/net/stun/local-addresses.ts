import { networkInterfaces } from 'node:os'
import { scopeOf } from '../../base/ip-scope.ts'

/** An IP address of this machine and the interface that has it. */
export interface LocalAddress {
  readonly host: string
  readonly interface: string
}

/** The IP addresses of this machine, but for link-local ones, which another host cannot name. */
export function localAddresses(): LocalAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses
      .filter(({ address }) => scopeOf(address) !== 'link-local')
      .map(({ address }) => ({ host: address, interface: name })),
  )
}
