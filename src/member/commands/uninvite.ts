import { defineCommand } from '../../command/index.ts'
import { inviteContract } from '../contract.ts'
import { countOf, shortId } from './words.ts'

export const uninviteCommand = defineCommand({
  name: 'node uninvite',
  aliases: ['uninvite'],
  summary: 'Make a join code stop working',
  description: 'Machines that have joined by it stay; remove one with: warren node remove NAME',
  arguments: [{ name: 'id', description: 'id of the invite, or its first letters: see warren invites' }],
  examples: [{ does: 'take a code back that went astray', words: 'uninvite 1f4a9c02' }],
  async run({ args, context }) {
    const client = await context.connect()
    const input = { params: { invite: args.id } }
    const invite = await client.call(inviteContract.close, input, { signal: context.signal })
    const joined = invite.joined.length === 0 ? '' : `; ${countOf(invite.joined.length, 'node')} had joined by it`
    return { json: invite, human: `invite ${shortId(invite.id)} works no more${joined}` }
  },
})
