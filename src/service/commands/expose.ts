import { defineCommand, flag, list, printable } from '../../command/index.ts'
import { serviceContract } from '../contract.ts'
import { isLoopback } from './words.ts'

export const exposeCommand = defineCommand({
  name: 'service expose',
  aliases: ['expose'],
  summary: 'Let other nodes connect to a port of this one',
  description:
    'Operators and admins may connect, and who has a grant on the service (warren grant NODE operator --service NAME). With --to those whom it names in place of the operators; a role includes those above it. The same name again replaces what was there. It holds across restarts.',
  arguments: [
    { name: 'name', description: 'what other nodes call it: a-z, 0-9 and -' },
    { name: 'target', description: 'PORT of this machine, or HOST:PORT of what it can reach' },
  ],
  options: {
    udp: flag({ description: 'datagrams in place of TCP' }),
    to: list({ value: 'WHO', description: 'a role, or the name of a node or token; may repeat (default: operator)' }),
  },
  examples: [
    { does: 'a database, to operators', words: 'expose postgres 5432' },
    { does: 'to every member, and a printer of this network', words: 'expose printer 192.168.1.20:9100 --to member' },
    { does: 'to one node, over UDP', words: 'expose dns 53 --udp --to laptop' },
  ],
  async run({ args, options, context }) {
    const client = await context.connect()
    const service = await client.call(
      serviceContract.expose,
      { body: { name: args.name, target: args.target, kind: options.udp ? 'udp' : 'tcp', to: options.to } },
      { signal: context.signal },
    )
    const target = service.target ?? args.target
    if (!isLoopback(target))
      context.say(`${printable(target)} is beyond loopback: peers come to it as from this machine`)
    const verb = service.replaced ? 'now exposes' : 'exposes'
    const human = `${service.node} ${verb} ${service.name} (${service.kind} ${target}) to admins, ${service.to.join(', ')}, and by grants\nReach it from another node: warren proxy ${service.node} ${service.name}`
    return { json: service, human: human.split('\n').map(printable).join('\n') }
  },
})
