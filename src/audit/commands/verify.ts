import { type CommandContext, defineCommand, flag, printable } from '../../command/index.ts'
import { type AuditVerdictView, auditContract } from '../contract.ts'
import { auditErrors } from '../errors.ts'
import { fileOption, offlineFile } from './offline-log.ts'

export const verifyCommand = defineCommand({
  name: 'audit verify',
  summary: 'Whether the audit log was edited or cut',
  description:
    'Recomputes the chain of all entries and compares it with the head that the node signed last; with --peers also with the signed heads that the connected nodes keep, which nobody on this machine can change. Fails with audit_broken and exit code 5 where anything does not fit.',
  options: {
    peers: flag({ description: 'ask the connected nodes for the heads they keep of this log' }),
    file: fileOption,
  },
  examples: [
    { does: 'check the chain', words: 'audit verify' },
    { does: 'check it against what others keep', words: 'audit verify --peers' },
    { does: 'check a copy', words: 'audit verify --file backup/audit.log' },
  ],
  async run({ options, context }) {
    const verdict = await verdictOf(context, options)
    if (!verdict.ok) {
      for (const line of linesOf(verdict, context)) context.say(line)
      throw auditErrors.audit_broken(`the audit log is broken: ${printable(firstFault(verdict))}`, {
        details: { ...verdict },
      })
    }
    const { first, last, entries } = verdict
    const range = first === null || last === null ? 'nothing in it yet' : `entries ${first.seq} to ${last.seq}`
    const head = `✓ ${entries === 0 ? 'empty' : 'whole'}: ${range}${first === null ? '' : `, since ${first.time}`}`
    return { json: verdict, human: [head, ...linesOf(verdict, context)].join('\n') }
  },
})

async function verdictOf(
  context: CommandContext,
  { peers, file }: { peers: boolean; file: string | undefined },
): Promise<AuditVerdictView> {
  let error: unknown
  if (file === undefined) {
    try {
      const client = await context.connect()
      return await client.call(auditContract.verify, { query: { peers } }, { signal: context.signal })
    } catch (thrown) {
      // Others are asked by the daemon alone.
      if (peers) throw thrown
      error = thrown
    }
  }
  const found = await offlineFile(context, { file, error })
  const { verifyOffline } = await import('../offline.ts')
  const verdict = await verifyOffline(found, context.signal)
  return { ...verdict, problems: [...verdict.problems], peers: [], witnessed: [] }
}

function linesOf({ problems, peers, witnessed, torn_bytes }: AuditVerdictView, { style }: CommandContext): string[] {
  return [
    ...problems.map(
      ({ seq, file, line, problem }) =>
        `${style.red('✗')} ${seq === null ? '' : `entry ${seq}: `}${printable(problem)}${file === null ? '' : style.dim(`  ${printable(file)}:${line}`)}`,
    ),
    ...(torn_bytes > 0 ? [`  ${torn_bytes} bytes of a last line are cut off, as by a crash`] : []),
    ...peers.map(({ name, heads, newest, ok, problem }) => {
      const kept =
        heads === 0 ? 'keeps no head' : `keeps ${heads} ${heads === 1 ? 'head' : 'heads'}, up to entry ${newest}`
      const mark = ok ? (heads === 0 ? ' ' : '✓') : style.red('✗')
      return `${mark} ${printable(name)} ${kept}${problem === null ? '' : `: ${printable(problem)}`}`
    }),
    ...witnessed.map(
      ({ name, seen, before, after }) =>
        `${style.yellow('!')} the log of ${printable(name)} was cut or rewritten: at ${printable(seen)} it went from entry ${before.seq} to another entry ${after.seq}`,
    ),
  ]
}

function firstFault({ problems, peers }: AuditVerdictView): string {
  const [problem] = problems
  if (problem !== undefined) return `${problem.seq === null ? '' : `entry ${problem.seq}: `}${problem.problem}`
  const peer = peers.find(({ ok }) => !ok)
  return peer === undefined ? 'it does not fit' : `${peer.name} keeps another head: ${peer.problem ?? ''}`
}
