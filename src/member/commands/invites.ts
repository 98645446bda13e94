import { defineCommand, printable } from '../../command/index.ts'
import { type InviteView, inviteContract } from '../contract.ts'
import { describeLabels, describeWhen, shortId } from './words.ts'

export const invitesCommand = defineCommand({
  name: 'node invites',
  aliases: ['invites'],
  summary: 'Join codes that were made, and who joined by them',
  description: 'The codes themselves are kept nowhere.',
  examples: [
    { does: 'all of them, newest first', words: 'invites' },
    { does: 'ids of those that still work', words: 'invites --json | jq -r \'.[] | select(.state == "open").id\'' },
  ],
  async run({ context }) {
    const client = await context.connect()
    const invites = await client.call(inviteContract.list, {}, { signal: context.signal })
    return {
      json: invites,
      human: {
        columns: [
          { title: 'ID' },
          { title: 'STATE' },
          { title: 'ROLE' },
          { title: 'NAME' },
          { title: 'USED', align: 'right' },
          { title: 'EXPIRES' },
          { title: 'BY' },
          { title: 'JOINED' },
          { title: 'LABELS' },
        ],
        rows: invites.map(rowOf),
        empty: 'no invites yet; make one: warren invite',
      },
    }
  },
})

function rowOf(invite: InviteView): string[] {
  return [
    shortId(invite.id),
    invite.state,
    invite.role,
    printable(invite.name ?? ''),
    `${invite.joined.length}/${invite.uses}`,
    describeWhen(invite.expires),
    printable(invite.by),
    printable(invite.joined.map(({ name, state }) => (state === 'member' ? name : `${name} (${state})`)).join(', ')),
    describeLabels(invite.labels),
  ]
}
