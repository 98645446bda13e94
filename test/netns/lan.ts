/** Hosts of a local network that exists on this machine only: a namespace each (network_namespaces(7)). */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Why network namespaces cannot be made here; undefined where they can. */
export function whyNoNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const name = `wn${process.pid}probe`
  try {
    execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' })
    execFileSync('ip', ['netns', 'del', name], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `network namespaces cannot be made here: ${(error as Error).message.split('\n')[0]}`
  }
}

/** Why links cannot have a delay here; undefined where they can. */
export function whyNoDelay(): string | undefined {
  if (!existsSync('/dev/net/tun')) return 'delay needs /dev/net/tun'
  return spawnSync('python3', ['-c', 'import fcntl']).status === 0 ? undefined : 'delay needs python3'
}

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: 'pipe' })
}

/**
 * Hosts on one bridge, 10.77.0.1 and on, the bridge in a namespace of its own. Gives the function that takes all away;
 * what runs in them is ended before.
 */
export function makeLan(hosts: readonly string[], options: { multicast: (host: string) => boolean }): () => void {
  const bridge = `wn${process.pid}br`
  const made: string[] = []
  const undo = (): void => {
    for (const name of made) execFileSync('ip', ['netns', 'del', name], { stdio: 'pipe' })
  }
  try {
    for (const name of [bridge, ...hosts]) {
      ip('netns', 'add', name)
      made.push(name)
      ip('-n', name, 'link', 'set', 'lo', 'up')
    }
    ip('-n', bridge, 'link', 'add', 'br0', 'type', 'bridge')
    ip('-n', bridge, 'link', 'set', 'br0', 'up')
    for (const [index, host] of hosts.entries()) {
      ip('-n', bridge, 'link', 'add', `p${index}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
      ip('-n', bridge, 'link', 'set', `p${index}`, 'master', 'br0', 'up')
      ip('-n', host, 'addr', 'add', `10.77.0.${index + 1}/24`, 'dev', 'eth0')
      ip('-n', host, 'link', 'set', 'eth0', 'up')
      if (options.multicast(host)) ip('-n', host, 'route', 'add', '224.0.0.0/4', 'dev', 'eth0')
    }
    return undo
  } catch (error) {
    undo()
    throw error
  }
}
