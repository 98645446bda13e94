import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { plainHost } from '../../base/ip-scope.ts'
import { withTimeout } from '../../base/wait.ts'
import { NAME_TIMEOUT_MS } from './constants.ts'

/** The IP address that a multiaddr begins with; undefined where it begins with a name or anything else. */
export function ipOf(address: string): string | undefined {
  const [, kind, host = ''] = address.split('/')
  return (kind === 'ip4' || kind === 'ip6') && isIP(host) !== 0 ? plainHost(host) : undefined
}

/** As `ipOf`, with the name looked up where it begins with one; undefined where that takes long or has no address. */
export async function findIpOf(address: string): Promise<string | undefined> {
  const [, kind = '', name = ''] = address.split('/')
  const family = { dns: 0, dns4: 4, dns6: 6 }[kind]
  if (family === undefined) return ipOf(address)
  try {
    const { address } = await withTimeout(`finding ${name}`, NAME_TIMEOUT_MS, () => lookup(name, { family }))
    return plainHost(address)
  } catch {
    return undefined
  }
}
