/** A clone for tests of ./warren: its own launcher, set-up and a small program, with the packages of this checkout. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const PROGRAM = `process.stdout.write(JSON.stringify({
  words: process.argv.slice(2), cwd: process.cwd(), exec: process.execPath, main: process.argv[1], node: process.version,
}) + '\\n')
`

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

export interface Clone extends AsyncDisposable {
  /** Parent of the clone, for files beside it. */
  readonly parent: string
  readonly root: string
  readonly launcher: string
  /** Runs the launcher, or `options.program`, to its end. */
  run(words?: readonly string[], options?: RunOptions): Promise<Outcome>
  write(path: string, content: string): Promise<void>
  /** Names of the builds. */
  builds(): Promise<string[]>
}

interface RunOptions extends SpawnOptions {
  program?: string
  onStart?: (child: ChildProcess) => void
}

/** Makes the clone, in a folder whose name has a space. `packages: false` leaves node_modules out. */
export async function makeClone({ packages = true } = {}): Promise<Clone> {
  const parent = await mkdtemp(join(tmpdir(), 'warren-launcher-'))
  await chmod(parent, 0o755)
  const root = join(parent, 'my clone')
  for (const path of [
    'warren',
    'scripts/setup.sh',
    'scripts/build.ts',
    'package.json',
    'package-lock.json',
    '.npmrc',
  ]) {
    await cp(join(ROOT, path), join(root, path))
  }
  const write = async (path: string, content: string): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), content)
  }
  await write('src/cli/main.ts', PROGRAM)
  await write('src/base/words.ts', 'export const words = 1\n')
  if (packages) {
    await symlink(join(ROOT, 'node_modules'), join(root, 'node_modules'))
    // As after `npm ci`: the packages are younger than the lock file.
    await utimes(join(root, 'package-lock.json'), 1_600_000_000, 1_600_000_000)
  }
  const launcher = join(root, 'warren')
  return {
    parent,
    root,
    launcher,
    write,
    run: (words = [], options = {}) => runToEnd(options.program ?? launcher, words, { cwd: parent, ...options }),
    builds: async () => (await readdir(join(root, 'dist'))).filter((name) => /^[0-9a-f]{16}$/.test(name)),
    [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }),
  }
}

/** Runs a program to its end. */
export async function runToEnd(program: string, words: readonly string[], options: RunOptions): Promise<Outcome> {
  const child = spawn(program, [...words], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (data) => {
    stdout += data
  })
  child.stderr?.on('data', (data) => {
    stderr += data
  })
  options.onStart?.(child)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  return { code, stdout, stderr }
}

/** The name that `dist/current` holds. */
export async function currentBuild(clone: Clone): Promise<string> {
  return (await readFile(join(clone.root, 'dist/current'), 'utf8')).trim()
}

/** Folders of PATH with everything but `names`, as one folder of links. */
export async function pathWithout(clone: Clone, names: readonly string[]): Promise<string> {
  const folder = join(clone.parent, 'bin')
  await mkdir(folder, { recursive: true })
  for (const source of ['/usr/bin', '/bin', '/usr/sbin', '/sbin']) {
    for (const name of await readdir(source).catch(() => [])) {
      if (!names.includes(name)) await symlink(join(source, name), join(folder, name)).catch(() => undefined)
    }
  }
  return folder
}
