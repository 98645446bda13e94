/**
 * A host that has its router map a TCP and a UDP port, as a process in a network namespace: port-mapping-process.ts PORT.
 * Prints JSON lines: {mapped, mappings} at each change, {reason} when the router gives nothing. Ends, and gives the
 * mappings back, when its input ends.
 */
import { createServer } from 'node:net'
import { silentLogger } from '../../src/base/log.ts'
import { createPortMapping } from '../../src/net/port-mapping.ts'

const port = Number(process.argv[2])
const print = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
const listener = createServer((socket) => socket.end('here'))
listener.listen(port)
const ports = () =>
  [
    { protocol: 'tcp', port },
    { protocol: 'udp', port },
  ] as const
const log = { ...silentLogger, info: (fields: object) => 'reason' in fields && print(fields) }
const mapping = createPortMapping({ ports, log: { ...log, child: () => silentLogger } })
mapping.events.on('changed', ({ mapped }) => print({ mapped, mappings: mapping.mappings() }))
mapping.start()
process.stdin.resume().on('end', async () => {
  await mapping.stop()
  print('stopped')
  listener.close()
})
