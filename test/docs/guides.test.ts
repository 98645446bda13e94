import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { expect, test } from 'vitest'
import { commandEntries } from '../../src/cli/entries.ts'
import { commandHelp, splitGlobals } from '../../src/command/parse.ts'
import { programPath } from '../program.ts'
import { blocksOf, firstMissing, type GuideBlock, type GuideCommand } from './guide.ts'

const ROOT = join(import.meta.dirname, '../..')
const GUIDES = ['README.md', ...readdirSync(join(ROOT, 'docs/guide')).map((name) => `docs/guide/${name}`)]

/** Commands of the pages that are not run, with the reason. */
const NOT_RUN: readonly (readonly [RegExp, string])[] = [
  [/^git clone /, 'fetches the repository; test/launcher runs ./warren in a fresh clone'],
  [/^npm test$/, 'would run itself'],
]
/** Lines of output that the program does not print here. */
const NOT_PRINTED = /^ {2}(getting Node|building the program)/

const missing = ['python3', 'curl'].filter((program) => !isOnPath(program))
const why = missing.length === 0 ? '' : ` (skipped: no ${missing.join(', no ')} on this machine)`

test.skipIf(missing.length > 0).for(GUIDES)(
  `%s: every command ends as the page says${why}`,
  { concurrent: true },
  async (path, { expect }) => {
    const blocks = blocksOf(readFileSync(join(ROOT, path), 'utf8'))
    expect(blocks.length).toBeGreaterThan(0)
    const results = await runGuide(blocks)
    for (const block of blocks) {
      const said: string[] = []
      for (const command of block.commands) {
        const result = results.get(command)
        if (result === undefined) continue
        said.push(result.output)
        expect(endsOf(command), `${path}:${command.line}  ${command.text}\n${result.output}`).toContain(result.code)
      }
      const wanted = block.output.filter((line) => !NOT_PRINTED.test(line))
      expect(firstMissing(wanted, said.join('\n')), `${path}\n${said.join('\n')}`).toBeUndefined()
    }
  },
)

test('every `warren …` in the pages names a command and options that there are', async () => {
  const wrong: string[] = []
  const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', ...GUIDES.slice(1)]
  pages.push('docs/manifest.md', 'docs/config.md')
  for (const path of pages) {
    const text = readFileSync(join(ROOT, path), 'utf8')
    for (const [, words] of text.matchAll(/`(?:\.\/)?warren ([^`]+)`/g)) {
      if (!(await isKnown((words as string).split(' ')))) wrong.push(`${path}: warren ${words}`)
    }
  }
  expect(wrong).toEqual([])
})

test('a page is read as commands with exits, here-documents and output', () => {
  const page =
    "```sh\na --b  # exits 3\ncat > f <<'EOF'\nx\nEOF\nc  # until Ctrl-C\n```\n\n```text\nnode 12\n```\n<!-- sh\nby hand\n-->\n"
  const [block, hidden] = blocksOf(page)
  expect(hidden?.commands.map(({ text }) => text)).toEqual(['by hand'])
  expect(block?.commands).toEqual([
    { text: 'a --b  # exits 3', line: 2, exits: 3, untilInterrupted: false },
    { text: "cat > f <<'EOF'\nx\nEOF", line: 3, exits: 0, untilInterrupted: false },
    { text: 'c  # until Ctrl-C', line: 6, exits: 0, untilInterrupted: true },
  ])
  expect(firstMissing(block?.output ?? [], 'first\nnode 7')).toBeUndefined()
  expect(firstMissing(block?.output ?? [], 'nodes 7'.slice(1))).toBe('node 12')
})

/** The exit codes that a command may have; a following may take Ctrl-C for its end, or for a failure. */
function endsOf({ exits, untilInterrupted }: GuideCommand): number[] {
  return untilInterrupted ? [0, 130] : [exits]
}

interface Outcome {
  readonly code: number
  readonly output: string
}

/** Runs the commands of a page in one shell, in a fresh home with `warren` and `./warren`, and stops what they left running. */
async function runGuide(blocks: readonly GuideBlock[]): Promise<Map<GuideCommand, Outcome>> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-guide-'))
  const env = {
    PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter),
    HOME: folder,
    LANG: 'C.UTF-8',
    // A test speaks on loopback only.
    WARREN_NET_LISTEN: '/ip4/127.0.0.1/tcp/0',
    WARREN_NET_MDNS: 'false',
  }
  try {
    await writeWrapper(folder)
    const commands = blocks
      .flatMap((block) => block.commands)
      .filter(({ text }) => !NOT_RUN.some(([pattern]) => pattern.test(text)))
    const said = await runShell(scriptOf(commands), { folder, env })
    return new Map(commands.map((command, index) => [command, outcomeOf(said, index)]))
  } finally {
    await cleanUp({ folder, env })
  }
}

/** A folder whose daemons still run is left for a person to look at. */
async function cleanUp(at: { folder: string; env: Record<string, string> }): Promise<void> {
  const homes = readdirSync(at.folder).filter((name) => existsSync(join(at.folder, name, 'config.yaml')))
  const stops = homes.map((name) => `warren --home ${join(at.folder, name)} daemon stop --apps`)
  const said = await runShell(['warren lab down', ...stops].join('\n'), at)
  const errors = said.match(/^error.*|.*Cannot find module.*/gm) ?? []
  const unknown = errors.filter((line) => !/lab_not_found|daemon_not_running/.test(line))
  if (unknown.length > 0) throw new Error(`${at.folder} could not be cleaned: ${said}`)
  await rm(at.folder, { recursive: true, force: true })
}

async function writeWrapper(folder: string): Promise<void> {
  const wrapper = join(folder, 'bin', 'warren')
  await mkdir(join(folder, 'bin'))
  const main = await programPath()
  await writeFile(wrapper, `#!/bin/sh\nexec ${process.execPath} --disable-warning=ExperimentalWarning ${main} "$@"\n`)
  await chmod(wrapper, 0o755)
  await symlink(wrapper, join(folder, 'warren'))
}

/** The commands with a mark after each that tells its exit code. */
function scriptOf(commands: readonly GuideCommand[]): string {
  return commands
    .map(({ text, untilInterrupted }, index) => {
      const run = untilInterrupted ? interrupted(text.replace(/#.*/, '').trim()) : text
      return `${run}\nprintf '\\n@end ${index} %s\\n' $?\n`
    })
    .join('')
}

/** Starts the command beside, waits until a log line came, and does what Ctrl-C does. */
function interrupted(command: string): string {
  return [
    `${command} > said 2>&1 & pid=$!`,
    `until grep -q '│\\|^[0-9:]* ' said || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done`,
    'kill -INT $pid; wait $pid; code=$?',
    'cat said; (exit $code)',
  ].join('\n')
}

function outcomeOf(said: string, index: number): Outcome {
  const begin = index === 0 ? 0 : said.indexOf(`@end ${index - 1} `)
  const mark = new RegExp(`@end ${index} (\\d+)`).exec(said)
  return { code: Number(mark?.[1] ?? -1), output: said.slice(begin, mark?.index) }
}

function runShell(script: string, at: { folder: string; env: Record<string, string> }): Promise<string> {
  return new Promise((resolve, reject) => {
    const shell = spawn('/bin/sh', ['-s'], { cwd: at.folder, env: at.env, stdio: ['pipe', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [shell.stdout, shell.stderr]) {
      stream.setEncoding('utf8').on('data', (part: string) => {
        said += part
      })
    }
    shell.on('error', reject)
    shell.on('close', () => resolve(said))
    shell.stdin.end(`exec 2>&1\n${script}`)
  })
}

/** Whether the words begin with a command, and every option in them is one of its own or of all. */
async function isKnown(words: readonly string[]): Promise<boolean> {
  if (words.every((word) => word.startsWith('-'))) return true
  const { rest } = splitGlobals(words)
  const entry = [3, 2, 1]
    .map((length) => rest.slice(0, length).join(' '))
    .map((name) => commandEntries.find((each) => each.name === name || each.aliases?.includes(name)))
    .find((each) => each !== undefined)
  const group = commandEntries.some(({ name }) => name.startsWith(`${rest[0]} `))
  if (entry === undefined) return group && rest.length === 1
  const help = commandHelp(await entry.load())
  return rest.filter((word) => word.startsWith('--')).every((word) => help.includes(word.split('=')[0] as string))
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)))
}
