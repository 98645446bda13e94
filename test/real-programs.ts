/** Programs of Debian that tests use Warren with, as people do. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const INSTALL_TIMEOUT_MS = 120_000
const SSHD = '/usr/sbin/sshd'

export const REDIS = { programs: ['redis-server', 'redis-cli'], packages: 'redis-server redis-tools' }
export const SSH = { programs: ['ssh', 'ssh-keygen', SSHD], packages: 'openssh-server openssh-client' }

/** Empty where the programs are there, if need be after Debian's packages were installed; else why not, for a test's name. */
export function install({ programs, packages }: { programs: readonly string[]; packages: string }): string {
  const lacks = (): string[] => programs.filter((program) => spawnSync('which', [program]).status !== 0)
  if (lacks().length === 0) return ''
  if (process.getuid?.() === 0)
    spawnSync('apt-get', ['install', '-y', '-qq', ...packages.split(' ')], { timeout: INSTALL_TIMEOUT_MS })
  const left = lacks()
  return left.length === 0 ? '' : ` (skipped: no ${left.join(', no ')} on this machine)`
}

/** Keys in a folder, and the words that start an sshd at a port of loopback which lets in who has its file `user`. */
export async function prepareSshd(folder: string, port: number): Promise<string[]> {
  for (const name of ['host', 'user']) {
    await runProgram('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)])
  }
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(folder, 'host')}`,
    `AuthorizedKeysFile ${join(folder, 'user.pub')}`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    'PidFile none',
  ]
  await writeFile(join(folder, 'sshd_config'), `${lines.join('\n')}\n`)
  // Where sshd drops its privileges.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true })
  return [SSHD, '-D', '-f', join(folder, 'sshd_config')]
}

/** The options of an ssh that asks nothing, with the key of `prepareSshd`, through a command as its connection. */
export function sshOptions(folder: string, proxyCommand: string): string[] {
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes', 'LogLevel=ERROR']
  return [...options, `ProxyCommand=${proxyCommand}`]
    .flatMap((option) => ['-o', option])
    .concat('-i', join(folder, 'user'))
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  /** Told of the child, so that it can be ended. */
  readonly onStart?: (child: ChildProcess) => void
}

/** Runs a program to its end. */
export async function runProgram(
  program: string,
  words: readonly string[],
  { env, input = '', onStart }: RunOptions = {},
): Promise<Ran> {
  const child = spawn(program, words, { env: env ?? process.env, stdio: ['pipe', 'pipe', 'pipe'] })
  onStart?.(child)
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: code as number, out, err }
}
