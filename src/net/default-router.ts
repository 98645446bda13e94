import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'

const IS_UP_AND_ROUTER = 0x3

/** The router of this machine and the own address towards it, IPv4; undefined where there is none. Linux only. */
export async function findDefaultRouter(
  routes = '/proc/net/route',
): Promise<{ router: string; localHost: string } | undefined> {
  const text = await readFile(routes, 'latin1').catch(() => '')
  const router = routerIn(text)
  if (router === undefined) return undefined
  const socket = createSocket('udp4')
  try {
    // Nothing is sent: connecting makes the system pick the address that it would send from.
    socket.connect(9, router)
    await once(socket, 'connect')
    return { router, localHost: socket.address().address }
  } catch {
    return undefined
  } finally {
    socket.close()
  }
}

/** The router of the default route with the best metric, from a table as proc(5) describes it. */
export function routerIn(text: string): string | undefined {
  const routes = text
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/))
    .filter(
      ([, destination, , flags]) =>
        destination === '00000000' && (Number.parseInt(flags ?? '', 16) & IS_UP_AND_ROUTER) === IS_UP_AND_ROUTER,
    )
    .sort((a, b) => Number(a[6]) - Number(b[6]))
  const hex = routes[0]?.[2]
  // The number is in the order of the machine, which is little-endian on all that this runs on.
  return hex === undefined || !/^[0-9A-F]{8}$/i.test(hex) ? undefined : [...Buffer.from(hex, 'hex')].reverse().join('.')
}
