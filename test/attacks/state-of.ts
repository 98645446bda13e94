/** All that a daemon keeps, to see that an attack has changed nothing. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { appContract } from '../../src/app/contract.ts'
import { memberContract } from '../../src/member/contract.ts'
import { rolloutContract } from '../../src/rollout/contract.ts'
import type { Daemon } from './daemon.ts'

/**
 * What tells of the attack itself, or changes by being up: logs, the audit log, the index, signs of life, addresses, and
 * files that are being written to take the place of others.
 */
const PASSING =
  /^(daemon\.log|addresses$|run\/|audit|state\.db|roster\/heads$|apps\/[^/]+\/(logs|data)\/|peers)|(^|\/)(\.new-|\.[^/]+\.tmp$)/

/** What no member without an admin's key can change: who is who, and the statements that say so. */
export async function trustOf(daemon: Daemon): Promise<Record<string, unknown>> {
  return { nodes: await nodesOf(daemon), roster: hashOf(await readFile(join(daemon.home, 'roster/log'))) }
}

/** Hashes of the files in its home, and what its own door says of nodes, apps and rollouts. */
export async function stateOf(daemon: Daemon): Promise<Record<string, unknown>> {
  const client = await daemon.client()
  const [apps, rollouts] = await Promise.all([client.call(appContract.list, {}), client.call(rolloutContract.list, {})])
  return {
    files: await hashesOf(daemon.home),
    nodes: await nodesOf(daemon),
    apps: apps.map(({ node, app, version, status, pid }) => ({ node, app, version, status, pid })),
    rollouts: rollouts.map(({ id, state }) => ({ id, state })),
  }
}

async function nodesOf(daemon: Daemon): Promise<unknown[]> {
  const nodes = await (await daemon.client()).call(memberContract.list, {})
  return nodes.map(({ id, name, role, labels }) => ({ id, name, role, labels }))
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** By name below `folder`. What goes away while this looks is not there. */
async function hashesOf(folder: string, below = ''): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const entry of await readdir(join(folder, below), { withFileTypes: true }).catch(unlessGone)) {
    const name = join(below, entry.name)
    if (PASSING.test(entry.isDirectory() ? `${name}/` : name)) continue
    if (entry.isDirectory()) Object.assign(found, await hashesOf(folder, name))
    else if (entry.isFile()) {
      for (const bytes of await readFile(join(folder, name)).then((read) => [read], unlessGone))
        found[name] = hashOf(bytes)
    }
  }
  return found
}

function unlessGone(error: NodeJS.ErrnoException): [] {
  if (error.code !== 'ENOENT') throw error
  return []
}
