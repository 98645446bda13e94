import { formatDuration } from '../../base/durations.ts'
import { type CommandContext, defineCommand, printable } from '../../command/index.ts'
import { type TrustStatus, trustContract } from '../contract.ts'
import { countOf, describeTime, describeWhen, shortId } from './words.ts'

export const trustStatusCommand = defineCommand({
  name: 'trust status',
  summary: 'What this node believes of its network, and how fresh that is',
  examples: [
    { does: 'this node', words: 'trust status' },
    { does: 'whether two nodes believe the same', words: '--node pi trust status --json | jq -r .digest' },
  ],
  async run({ context }) {
    const client = await context.connect()
    const status = await client.call(trustContract.status, {}, { signal: context.signal })
    return { json: status, human: describe(status, context) }
  },
})

function describe(status: TrustStatus, { style }: CommandContext): string {
  const { silent_ms: silentMs, network_key: key, standing } = status
  const heard = silentMs === null ? 'none yet' : `${formatDuration(silentMs)} ago`
  const problems = [
    ...(status.stale ? [`no admin was heard for ${formatDuration(silentMs ?? 0)}: new packages are refused`] : []),
    ...(status.admins.length === 0 ? ['no admin is left; make this node one: warren trust recover'] : []),
    ...status.missing.map(({ author, seq }) => `statement ${seq} of ${author} is not here yet`),
    ...(status.authority === 'locked' ? ['the authority key needs its passphrase: warren key unlock'] : []),
    ...(status.head_confirmed
      ? []
      : ['this home may be an older copy: it signs once it has met a peer, or: warren trust accept-head']),
    ...status.alarms.map(({ code, message }) => `${code}: ${message}`),
  ]
  return [
    `network      ${status.network}`,
    `digest       ${status.digest}`,
    `statements   ${status.statements}`,
    `standing     ${standing.current ? style.green('current') : style.yellow('not current')}, ${printable(standing.why)}`,
    `admin heard  ${heard}`,
    `network key  number ${key.revision}${key.since === null ? '' : `, since ${describeTime(key.since)}, by ${printable(key.by ?? '')}`}`,
    ...status.admins.map(
      ({ name, authority, statements, sign_of_life: sign }) =>
        `admin        ${printable(name)}  key ${shortId(authority)}  ${countOf(statements, 'statement')}  ${sign === null ? 'not heard yet' : `heard ${describeWhen(sign)}`}`,
    ),
    ...problems.map((problem) => `${style.yellow('look at')}      ${printable(problem)}`),
  ].join('\n')
}
