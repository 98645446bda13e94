/** Network namespaces (network_namespaces(7)) of this process, which are gone when it is. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** Signals that end a process without its `exit` event. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const PREFIX = 'wi-'
const LEFT_NAME = /^wi-(\d+)-(\d+)-/
/** What `ip` and `nft` take here is milliseconds; a busy machine takes some more. */
const TOOL_TIMEOUT_MS = 20_000

/** Namespaces that belong together and are removed together. */
export interface Namespaces {
  /** Makes one with its loopback up; gives its name as `ip netns` knows it. */
  add(name: string): string
  /** Takes one away, with all processes in it. */
  remove(namespace: string): void
  /** `ip -batch` in a namespace: a command a line, without the word ip. */
  ip(namespace: string, lines: readonly string[]): void
  /** `nft -f -` in a namespace: all of the text, or nothing of it. */
  nft(namespace: string, text: string): void
  /** What a program in the namespace prints. */
  read(namespace: string, words: readonly string[]): string
  removeAll(): void
}

/**
 * Namespaces with names that no other process has. They are removed at the latest when the process exits; those of a
 * process that was killed are removed here, by the next one that asks. Needs root.
 */
export function openNamespaces(): Namespaces {
  removeLeftovers()
  const own = `${PREFIX}${process.pid}-${startOf(process.pid)}-${randomBytes(3).toString('hex')}-`
  const made = new Set<string>()
  const remove = (namespace: string): void => {
    made.delete(namespace)
    removeNamespace(namespace)
  }
  const removeAll = (): void => {
    process.off('exit', removeAll)
    for (const signal of ENDING) process.off(signal, endBy)
    for (const namespace of [...made].reverse()) remove(namespace)
  }
  const endBy = (signal: NodeJS.Signals): void => {
    removeAll()
    process.kill(process.pid, signal)
  }
  process.once('exit', removeAll)
  for (const signal of ENDING) process.once(signal, endBy)
  return {
    add: (name) => {
      const namespace = `${own}${name}-${randomBytes(2).toString('hex')}`
      call(['ip', 'netns', 'add', namespace])
      made.add(namespace)
      call(['ip', '-n', namespace, 'link', 'set', 'lo', 'up'])
      return namespace
    },
    remove,
    ip: (namespace, lines) => void call(['ip', '-n', namespace, '-batch', '-'], lines.join('\n')),
    nft: (namespace, text) => void call(['ip', 'netns', 'exec', namespace, 'nft', '-f', '-'], text),
    read: (namespace, words) => call(['ip', 'netns', 'exec', namespace, ...words]),
    removeAll,
  }
}

/** Ends all processes of a namespace at once, as a machine does that loses its power. */
export function killAllIn(namespace: string): void {
  for (const pid of call(['ip', 'netns', 'pids', namespace]).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // Ended meanwhile.
    }
  }
}

function removeNamespace(namespace: string): void {
  killAllIn(namespace)
  call(['ip', 'netns', 'del', namespace])
}

function removeLeftovers(): void {
  for (const line of call(['ip', 'netns', 'list']).split('\n')) {
    const [name = ''] = line.split(' ')
    const [, pid, start] = LEFT_NAME.exec(name) ?? []
    if (pid === undefined || startOf(Number(pid)) === start) continue
    try {
      removeNamespace(name)
    } catch {
      // Another process removes it at this moment.
    }
  }
}

/** When a process started, in clock ticks since the boot (proc(5), stat): a pid that is used again has another one. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function call(words: readonly string[], input = ''): string {
  try {
    return execFileSync(words[0] as string, words.slice(1), {
      input,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: TOOL_TIMEOUT_MS,
    })
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string }
    throw new Error(`${words.join(' ')} failed: ${stderr}\n${input}`, { cause: error })
  }
}
