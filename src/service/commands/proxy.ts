import { isIP } from 'node:net'
import { baseErrors } from '../../base/errors.ts'
import { type CommandContext, defineCommand, flag, list, printable, type StreamLine } from '../../command/index.ts'
import { serviceContract } from '../contract.ts'
import { describePath, describeProxy } from './words.ts'

export const proxyCommand = defineCommand({
  name: 'proxy open',
  aliases: ['proxy'],
  summary: 'Reach a service of another node at a port of this machine',
  description:
    'Listens on loopback until Ctrl-C, or with --background until it is closed, across restarts. Connections take the best way there is, and new ones connect again by themselves. In place of NODE SERVICE also NODE/SERVICE, or a name out of service.names. LOCALPORT is that of the service where it is free, else a free one; 0 is any; - is standard input and output, for one connection.',
  arguments: [
    { name: 'node', description: 'name or id of the node', complete: 'node' },
    { name: 'service', description: 'name of the service', optional: true },
    { name: 'localport', description: 'port of this machine, 0, or -', optional: true },
  ],
  options: {
    bind: list({ value: 'ADDRESS', description: 'listen at this address in place of loopback; may repeat' }),
    background: flag({ description: 'return at once; the daemon keeps it' }),
  },
  examples: [
    { does: 'a database at localhost:5432', words: 'proxy office postgres' },
    { does: 'at another port, kept', words: 'proxy office postgres 15432 --background' },
    { does: 'over standard input and output, as the ProxyCommand of ssh', words: 'proxy office ssh -' },
  ],
  async *run({ args, options, context }): AsyncGenerator<StreamLine> {
    const words = readWords(args)
    for (const address of options.bind) {
      if (isIP(address) === 0)
        throw baseErrors.invalid_value(`"${address}" is no IP address`, { hint: 'Such as --bind ::1' })
    }
    if (options.background && context.temporary) {
      throw baseErrors.usage('the node of a deploy token ends with its command, so that nothing can be kept', {
        hint: 'Leave --background out.',
      })
    }
    if (words.pipe) return yield* pipe(context, words)
    const body = {
      ...targetOf(words),
      ...(words.port === undefined ? {} : { port: words.port }),
      ...(options.bind.length === 0 ? {} : { bind: options.bind }),
    }
    const client = await context.connect()
    if (options.background) {
      const kept = await client.call(serviceContract.keep, { body }, { signal: context.signal })
      yield { json: kept, human: printable(`${describeProxy(kept)}, ${describePath(kept)}    kept as ${kept.id}`) }
      return
    }
    for await (const event of client.stream(serviceContract.proxy, { body }, { signal: context.signal })) {
      if (event.event === 'open')
        yield { json: event, human: printable(`${describeProxy(event)}, ${describePath(event)}`) }
      else if (event.event === 'path') yield { json: event, human: printable(describePath(event)) }
      else {
        yield { json: event }
        context.say(printable(`✗ ${event.code}  ${event.message}${event.hint === null ? '' : `    ${event.hint}`}`))
      }
    }
  },
})

interface Words {
  readonly node: string
  readonly service: string | undefined
  readonly port: number | undefined
  readonly pipe: boolean
}

/** NODE SERVICE [LOCALPORT], or NAME [LOCALPORT]: a port is a number, which the name of a service never is. */
function readWords(args: { node: string; service: string | undefined; localport: string | undefined }): Words {
  const { node, service: second, localport } = args
  const isPort = second !== undefined && /^(-|\d+)$/.test(second) && localport === undefined
  const [service, place] = isPort ? [undefined, second] : [second, localport]
  if (place === '-') return { node, service, port: undefined, pipe: true }
  const port = place === undefined ? undefined : Number(place)
  if (port === undefined || (Number.isInteger(port) && port >= 0 && port < 65_536))
    return { node, service, port, pipe: false }
  throw baseErrors.invalid_value(`"${place}" is no port`, {
    hint: 'A number from 1 to 65535, 0 for any, or - for standard input and output.',
  })
}

function targetOf({ node, service }: Words): { node: string; service?: string } {
  return service === undefined ? { node } : { node, service }
}

/** Nothing but the service's bytes goes to standard output; what went wrong is the command's own error. */
async function* pipe(context: CommandContext, words: Words): AsyncGenerator<StreamLine> {
  const { joinStandardStreams } = await import('./standard-streams.ts')
  const client = await context.connect()
  const body = { ...targetOf(words), pipe: true }
  let joined: Promise<void> | undefined
  try {
    for await (const event of client.stream(serviceContract.proxy, { body }, { signal: context.signal })) {
      if (event.event === 'open') joined = joinStandardStreams(event.local[0] as string, context)
    }
    await joined
  } finally {
    // A shell may hold its end of standard input open: the command is over all the same.
    context.stdin.destroy()
  }
  yield { exitCode: 0 }
}
