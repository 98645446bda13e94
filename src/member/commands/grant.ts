import { ROLES, type Role } from '../../api/index.ts'
import { baseErrors } from '../../base/errors.ts'
import { defineCommand, duration, flag, list } from '../../command/index.ts'
import { memberContract } from '../contract.ts'
import { confirmEndOfAdmin } from './terminal.ts'
import { describeRights } from './words.ts'

export const grantCommand = defineCommand({
  name: 'node grant',
  aliases: ['grant'],
  summary: 'Give a node a role, or a right on some apps',
  description:
    'Roles: relay, member, viewer (reads), operator (deploys, starts and stops), admin (all, and signs what the network is). Without --app and --service the node gets the role; with them a viewer’s or operator’s right on those alone, beside its role. An admin makes a key of its own, so it must be up. With --expires and neither, its membership itself ends then. Whoever stops being an admin can never be one again under the same identity.',
  arguments: [
    { name: 'node', description: 'name or id of the node', complete: 'node' },
    { name: 'role', description: ROLES.join(', ') },
  ],
  options: {
    app: list({ value: 'APP', description: 'only on this app; * at its end stands for any rest; may repeat' }),
    service: list({ value: 'SERVICE', description: 'only on this service; may repeat' }),
    expires: duration({ description: 'how long it holds, such as 30d (default: until it is taken back)' }),
    yes: flag({ short: 'y', description: 'do not ask where an admin gets a lesser role' }),
  },
  examples: [
    { does: 'let office deploy', words: 'grant office operator' },
    { does: 'only what begins with web-, for a month', words: "grant office operator --app 'web-*' --expires 30d" },
    { does: 'a second admin', words: 'grant office admin' },
  ],
  async run({ args, options, context }) {
    const client = await context.connect()
    const role = roleOf(args.role)
    const isNarrowed = options.app.length + options.service.length > 0
    if (role !== 'admin' && !isNarrowed && !options.yes) await confirmEndOfAdmin(context, client, args.node)
    const body = {
      role,
      apps: options.app,
      services: options.service,
      ...(options.expires === undefined ? {} : { expires_in_ms: options.expires }),
    }
    const input = { params: { node: args.node }, body }
    const node = await client.call(memberContract.grant, input, { signal: context.signal })
    return { json: node, human: describeRights(node) }
  },
})

/** Fails with `invalid_value`. */
export function roleOf(word: string): Role {
  const role = ROLES.find((each) => each === word)
  if (role !== undefined) return role
  throw baseErrors.invalid_value(`"${word}" is no role`, { hint: `Roles: ${ROLES.join(', ')}` })
}
