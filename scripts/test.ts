/**
 * All that `npm test` runs: format and lint, types, dead code and unused packages, then the tests. `--checks` leaves out
 * the tests; other words pick tests by path (`npm test -- src/identity`) and leave out the checks.
 *
 * Each check counts as one. The last line is `N passed, N failed`, with `, N skipped` where tests were; the reasons of
 * the skipped ones stand above it. Exit code 1 where anything failed.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { startVitest, type TestCase, type TestModule } from 'vitest/node'

const ROOT = join(import.meta.dirname, '..')

const CHECKS = [
  { name: 'format and lint', words: ['biome', 'check', '--error-on-warnings'] },
  { name: 'types', words: ['tsc', '-p', '.'] },
  { name: 'dead code and packages', words: ['knip', '--no-progress'] },
]

interface Counts {
  passed: number
  failed: number
  skipped: number
}

async function main(args: readonly string[]): Promise<void> {
  const filters = args.filter((word) => !word.startsWith('--'))
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 }
  // A check takes one processor; the tests start when they are through, because some of them watch the time.
  if (filters.length === 0) await Promise.all(CHECKS.map((check) => runCheck(check, counts)))
  if (!args.includes('--checks')) await runTests(filters, counts)
  const skipped = counts.skipped === 0 ? '' : `, ${counts.skipped} skipped`
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed${skipped}\n`)
  process.exit(counts.failed === 0 ? 0 : 1)
}

async function runCheck({ name, words }: (typeof CHECKS)[number], counts: Counts): Promise<void> {
  const startedMs = performance.now()
  const [program, ...rest] = words as [string, ...string[]]
  const child = spawn(join(ROOT, 'node_modules/.bin', program), rest, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env.PATH}`, FORCE_COLOR: '0' },
  })
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  child.stderr.on('data', (data) => {
    output += data
  })
  const passed = await new Promise<boolean>((resolve) => {
    child.on('error', (error) => {
      output += error.message
      resolve(false)
    })
    child.on('close', (code) => resolve(code === 0))
  })
  counts[passed ? 'passed' : 'failed']++
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  process.stdout.write(`${passed ? '✓' : '✗'} ${name} (${words[0]}, ${seconds} s)\n${passed ? '' : `${output}\n`}`)
}

async function runTests(filters: string[], counts: Counts): Promise<void> {
  const vitest = await startVitest('test', filters, { root: ROOT, watch: false, run: true })
  for (const module of vitest.state.getTestModules()) countModule(module, counts)
  counts.failed += vitest.state.getUnhandledErrors().length
  if (vitest.state.getTestModules().length === 0) counts.failed++
  await vitest.close()
}

function countModule(module: TestModule, counts: Counts): void {
  // A file or a suite that broke outside its tests, for example while it was loaded.
  counts.failed += module.errors().length
  for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
  for (const test of module.children.allTests()) {
    const result = test.result()
    if (result.state === 'passed') counts.passed++
    else if (result.state === 'skipped') {
      counts.skipped++
      process.stdout.write(`skipped  ${test.fullName}${reasonOf(test)}\n`)
    } else counts.failed++
  }
}

function reasonOf(test: TestCase): string {
  const result = test.result()
  return result.state === 'skipped' && result.note ? `: ${result.note}` : ''
}

await main(process.argv.slice(2))
