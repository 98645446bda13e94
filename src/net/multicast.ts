import { createSocket } from 'node:dgram'

/** The group that mDNS uses (RFC 6762). */
const MDNS_GROUP = '224.0.0.251'

/** Why multicast cannot work on this machine, such as a missing route; undefined where it can. Sends nothing. */
export function multicastProblem(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    const finish = (problem?: string): void => {
      socket.close()
      resolve(problem)
    }
    socket.once('error', (error) => finish(error.message))
    socket.bind(0, () => {
      try {
        socket.addMembership(MDNS_GROUP)
        finish()
      } catch (error) {
        finish((error as Error).message)
      }
    })
  })
}
