/**
 * `npm run -s bench -- NAME... [--json]` measures the program on this machine, beside its peers (docs/benchmarks.md). A bench
 * is a file in bench/ with the `bench` of its name. With `--json` one object `{name, figures, peers, goal, met}` is
 * printed for each. Exit code 1 where a goal is not met.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Bench, type Goal, type Measured, withFolder } from '../bench/measure.ts'

const NAMES = ['cli', 'node', 'transfer', 'stream', 'supervise', 'install', 'revoke', 'nat', 'recover', 'proxy', 'dht']

interface Result extends Measured {
  readonly name: string
  readonly met: boolean
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  })
  const unknown = positionals.find((name) => !NAMES.includes(name))
  if (positionals.length === 0 || unknown !== undefined) {
    process.stderr.write(
      `${unknown === undefined ? '' : `there is no bench "${unknown}"\n`}benches: ${NAMES.join(', ')}\n`,
    )
    return 2
  }
  let met = true
  for (const name of positionals) {
    const result = await measure(name)
    process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : tableOf(result))
    met &&= result.met
  }
  return met ? 0 : 1
}

async function measure(name: string): Promise<Result> {
  const { bench } = (await import(join(import.meta.dirname, '..', 'bench', `${name}.ts`))) as { bench: Bench }
  const say = (text: string): void => void process.stderr.write(`  ${name}: ${text}\n`)
  const measured = await withFolder((folder) => bench({ folder, say }))
  const met = Object.entries(measured.goal).every(([figure, goal]) => isMet(measured.figures[figure], goal))
  return { name, ...measured, met }
}

/** What could not be measured here meets no goal. */
function isMet(value: number | null | undefined, { at_most, at_least }: Goal): boolean {
  if (typeof value !== 'number' || Number.isNaN(value)) return false
  return value <= (at_most ?? Number.POSITIVE_INFINITY) && value >= (at_least ?? Number.NEGATIVE_INFINITY)
}

function tableOf({ name, figures, peers, goal }: Result): string {
  const rows = Object.entries(figures).map(([figure, value]) => {
    const wanted = goal[figure]
    if (wanted === undefined) return [figure, shown(value), '']
    const limit = wanted.at_most === undefined ? `at least ${wanted.at_least}` : `at most ${wanted.at_most}`
    return [figure, shown(value), `${limit}: ${isMet(value, wanted) ? 'met' : 'NOT MET'}`]
  })
  for (const [peer, value] of Object.entries(peers)) rows.push([peer, shown(value), 'peer'])
  const width = Math.max(...rows.map(([first]) => (first as string).length))
  const lines = rows.map(([figure, value, note]) =>
    `  ${figure?.padEnd(width)}  ${value?.padStart(9)}  ${note}`.trimEnd(),
  )
  return `${name}\n${lines.join('\n')}\n`
}

function shown(value: number | null): string {
  return value === null ? 'not here' : String(value)
}

process.exitCode = await main(process.argv.slice(2))
