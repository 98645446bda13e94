import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { completionScript, SHELLS, type Shell } from './completion-scripts.ts'

/** Longest wait for a shell that starts Node once a key press. */
const TIMEOUT_MS = 30_000

let folder: string
const running = new Set<ChildProcess>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'completion-'))
  await mkdir(join(folder, 'my files'))
  await writeFile(join(folder, 'mine.txt'), '')
  await writeFile(join(folder, 'program.mts'), PROGRAM)
  await writeFile(
    join(folder, 'burrow'),
    `#!/bin/sh\nexec '${process.execPath}' '${join(folder, 'program.mts')}' "$@"\n`,
  )
  await chmod(join(folder, 'burrow'), 0o755)
  for (const shell of SHELLS) await writeFile(join(folder, `script.${shell}`), completionScript(shell, 'burrow'))
})

afterAll(async () => {
  for (const child of running) child.kill('SIGKILL')
  // A shell whose terminal goes writes its history on its way out.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

/** A program of the real kit. */
const PROGRAM = `
import { runWords, defineCommand, list, choice, text } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)}
import { completionCommands } from ${JSON.stringify(new URL('./commands/index.ts', import.meta.url).href)}
const deploy = defineCommand({
  name: 'rollout start', aliases: ['deploy'], summary: 'Deploy a package', examples: [],
  arguments: [{ name: 'package', description: 'p', complete: 'file' }],
  options: {
    on: list({ value: 'NODE', description: 'targets' }),
    order: choice(['serial', 'canary'], { description: 'o' }),
    output: text({ value: 'FOLDER', description: 'f' }),
  },
  run: async () => ({ json: null }),
})
const entries = [
  { name: 'rollout start', aliases: ['deploy'], summary: 'Deploy a package', load: async () => deploy },
  ...completionCommands(() => entries, async () => ['pi', 'net:alpha', 'net:beta']),
]
process.exitCode = await runWords({
  entries, version: '1', program: [], env: process.env, cwd: process.cwd(), signal: new AbortController().signal,
  stdin: process.stdin, stdout: process.stdout, stderr: process.stderr,
}, process.argv.slice(2))
`

const starts: Record<Shell, { words: string; setUp: string }> = {
  bash: {
    words: 'bash --norc --noprofile -i',
    setUp: 'bind "set bell-style none"; bind "set show-all-if-ambiguous on"',
  },
  zsh: { words: 'zsh -f -i', setUp: `autoload -Uz compinit; compinit -u -D` },
  fish: { words: 'fish --no-config -i', setUp: 'true' },
}

/** Types keys into an interactive shell on a terminal of its own, and gives what it showed once that matches. */
async function type(shell: Shell, keys: string, expected: RegExp): Promise<string> {
  const child = spawn('script', ['-qfec', starts[shell].words, '/dev/null'], {
    cwd: folder,
    env: { PATH: `${folder}:${process.env.PATH}`, HOME: folder, TERM: 'dumb', PS1: '$ ', COLUMNS: '100' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  running.add(child)
  try {
    await shows(child, `${starts[shell].setUp}; source '${join(folder, `script.${shell}`)}'; echo rea''dy\n`, /\nready/)
    return await shows(child, keys, expected)
  } finally {
    child.kill('SIGKILL')
    await once(child, 'close')
    running.delete(child)
  }
}

function shows(child: ChildProcess, keys: string, expected: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = ''
    const timer = setTimeout(() => finish(new Error(`waited for ${expected}, saw ${JSON.stringify(seen)}`)), TIMEOUT_MS)
    const onData = (data: Buffer): void => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's control sequences are what is taken out
      seen = (seen + data.toString()).replaceAll(/\u001b(?:\[[0-9;?]*[A-Za-z]|\][^\u0007]*\u0007|\(B)/g, '')
      if (expected.test(seen)) finish()
    }
    const finish = (error?: Error): void => {
      clearTimeout(timer)
      child.stdout?.off('data', onData)
      if (error === undefined) resolve(seen)
      else reject(error)
    }
    child.stdout?.on('data', onData)
    child.stdin?.write(keys)
  })
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

for (const shell of SHELLS) {
  const missing = [shell, 'script'].filter((program) => !isInstalled(program))
  const why = missing.length === 0 ? '' : ` (skipped: ${missing.join(' and ')} not installed)`
  const check = test.skipIf(missing.length > 0)

  check(`${shell} completes commands, options, choices and names${why}`, { timeout: 4 * TIMEOUT_MS }, async () => {
    await type(shell, 'burrow dep\t--or\tc\t', /--order +[\b ]*canary /)
    await type(shell, 'burrow compl\tf\t', /completion +[\b ]*fish /)
    await type(shell, './burrow deploy --on=p\t', /--on=pi /)
    await type(shell, 'burrow deploy --on net:a\t', /net:alpha /)
  })

  check(`${shell} leaves paths to the shell${why}`, { timeout: 2 * TIMEOUT_MS }, async () => {
    await type(shell, 'burrow deploy mine\t', /mine\.txt /)
    await type(shell, 'burrow deploy --output m\t', /my\\ files\//)
  })
}

test.each(SHELLS)('the names in the %s script are made from the name of the program', (shell) => {
  const script = completionScript(shell, 'my-app')
  expect(script).toContain('_my_app')
  expect(script).not.toMatch(/@[A-Z]+@/)
})
