import { ROLES } from '../../api/index.ts'
import { defineCommand, flag, list } from '../../command/index.ts'
import { memberContract } from '../contract.ts'
import { roleOf } from './grant.ts'
import { confirmEndOfAdmin } from './terminal.ts'
import { describeRights } from './words.ts'

export const revokeCommand = defineCommand({
  name: 'node revoke',
  aliases: ['revoke'],
  summary: 'Take rights of a node back',
  description:
    'Without anything else its role becomes member and every narrowed right ends; it counts everywhere within seconds. Whoever stops being an admin can never be one again under the same identity, so on a terminal it asks first. To put a node out of the network: warren node remove NAME',
  arguments: [
    { name: 'node', description: 'name or id of the node', complete: 'node' },
    { name: 'role', description: `only this: ${ROLES.join(', ')}`, optional: true },
  ],
  options: {
    app: list({ value: 'APP', description: 'only the right on this app; may repeat' }),
    service: list({ value: 'SERVICE', description: 'only the right on this service; may repeat' }),
    yes: flag({ short: 'y', description: 'do not ask' }),
  },
  examples: [
    { does: 'make office a plain member', words: 'revoke office' },
    { does: 'only its right on one app', words: 'revoke office --app api' },
    { does: 'an admin steps back', words: 'revoke office admin' },
  ],
  async run({ args, options, context }) {
    const client = await context.connect()
    const body = {
      ...(args.role === undefined ? {} : { role: roleOf(args.role) }),
      apps: options.app,
      services: options.service,
    }
    const isNarrowed = options.app.length + options.service.length > 0
    if (!isNarrowed && !options.yes) await confirmEndOfAdmin(context, client, args.node)
    const input = { params: { node: args.node }, body }
    const node = await client.call(memberContract.revoke, input, { signal: context.signal })
    return { json: node, human: describeRights(node) }
  },
})
