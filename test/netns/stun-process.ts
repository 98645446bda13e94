/**
 * A STUN server, or a measurement, as a process in a network namespace:
 *
 *     stun-process.ts serve PORT                    prints "ready", answers until it is ended
 *     stun-process.ts measure HOST:PORT,HOST:PORT   prints the report as JSON, with its milliseconds
 */
import { createServer } from 'node:net'
import { systemClock } from '../../src/base/clock.ts'
import { Counters } from '../../src/base/counters.ts'
import { silentLogger } from '../../src/base/log.ts'
import { createStunServer, describeNat, measureNat } from '../../src/net/stun/index.ts'

const [mode, argument = ''] = process.argv.slice(2)
const print = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

if (mode === 'serve') {
  const port = Number(argument)
  const server = createStunServer({ port, clock: systemClock, log: silentLogger, counters: new Counters() })
  await server.start()
  createServer((socket) => server.answerTcp(socket)).listen(port, () => print('ready'))
} else {
  const servers = argument.split(',').map((text) => {
    const [host = '', port] = text.split(':')
    return { id: text, host, port: Number(port), alternatePort: Number(port) + 1 }
  })
  const startMs = performance.now()
  const report = await measureNat({ servers, clock: systemClock })
  print({ report, ms: performance.now() - startMs, line: describeNat(report) })
}
