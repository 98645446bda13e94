import { ROLES } from '../../api/index.ts'
import { formatDuration } from '../../base/durations.ts'
import { baseErrors } from '../../base/errors.ts'
import { type CommandContext, choice, defineCommand, duration, flag, integer, list, text } from '../../command/index.ts'
import { type InviteView, inviteContract } from '../contract.ts'
import { parseLabels } from './labels.ts'
import { drawQrCode } from './qr.ts'
import { isTerminal } from './terminal.ts'
import { describeLabels, describeTime, shortId } from './words.ts'

const HOUR_MS = 3_600_000

export const inviteCommand = defineCommand({
  name: 'node invite',
  aliases: ['invite'],
  summary: 'Make a code with which a machine joins the network',
  description:
    'Whoever has the code can join until it is used up or over, so send it as you would a password. It is shown once. Any admin of the network lets the machine in; this one may be off by then.',
  options: {
    name: text({ value: 'NAME', description: "name of the new node (default: the machine's)" }),
    role: choice(ROLES, { description: 'role of the new node (default: member)' }),
    label: list({ value: 'KEY=VALUE', description: 'label of the new node; may repeat' }),
    ttl: duration({ description: 'how long the code works (default: 1h)' }),
    uses: integer({ description: 'how many machines may join by it (default: 1)' }),
    nonInteractive: flag({ description: 'print the bare code, as where the output is no terminal' }),
  },
  examples: [
    { does: 'code and QR code for one machine, within the hour', words: 'invite' },
    { does: 'with its name and a label', words: 'invite --name pi --label site=home' },
    { does: 'for ten machines in a day', words: 'invite --uses 10 --ttl 24h' },
    { does: 'straight to another machine', words: "invite --non-interactive | ssh pi 'warren join -'" },
  ],
  async run({ options, context }) {
    const uses = options.uses ?? 1
    if (options.name !== undefined && uses > 1) {
      throw baseErrors.invalid_value(`${uses} nodes cannot all be named "${options.name}"`, {
        hint: 'Leave --name out: each takes the name of its machine.',
      })
    }
    const body = {
      ...(options.name === undefined ? {} : { name: options.name }),
      role: options.role ?? ('member' as const),
      labels: parseLabels(options.label),
      ttl_ms: options.ttl ?? HOUR_MS,
      uses,
    }
    const client = await context.connect()
    const invite = await client.call(inviteContract.create, { body }, { signal: context.signal })
    if (isTerminal() && !options.nonInteractive) {
      return { json: invite, human: await describeForPeople(invite, { context, ttlMs: body.ttl_ms }) }
    }
    context.say(`${describeInvite(invite)}. Take it back: warren uninvite ${shortId(invite.id)}`)
    return { json: invite, human: invite.code }
  },
})

interface Shown {
  readonly context: CommandContext
  readonly ttlMs: number
}

async function describeForPeople(invite: InviteView & { code: string }, { context, ttlMs }: Shown): Promise<string> {
  const { style } = context
  const qr = await drawQrCode(invite.code, { columns: process.stdout.columns ?? 80, colours: style.enabled })
  return [
    ...(qr === undefined ? [] : [qr, '']),
    `Run on the other machine, within ${formatDuration(ttlMs)}:`,
    '',
    `  warren join ${style.bold(invite.code)}`,
    '',
    `${describeInvite(invite)}.`,
    `Take it back: warren uninvite ${shortId(invite.id)}`,
  ].join('\n')
}

/** `pi joins as member, site=home; once, until 2026-11-21 19:20 UTC`. */
function describeInvite({ name, role, labels, uses, expires }: InviteView): string {
  const what = [role, ...(Object.keys(labels).length === 0 ? [] : [describeLabels(labels)])].join(', ')
  const often = uses === 1 ? 'once' : `${uses} times`
  return `${name ?? (uses === 1 ? 'The machine joins' : 'The machines join')}${name === null ? '' : ' joins'} as ${what}; it works ${often}, until ${describeTime(expires)}`
}
