import { rmSync } from 'node:fs'
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ApiClient, connectLocal } from '../api/index.ts'
import { toHex } from '../base/bytes.ts'
import { toWarrenError } from '../base/errors.ts'
import { writeFileAtomic } from '../base/files.ts'
import { silentLogger } from '../base/log.ts'
import { sleep } from '../base/wait.ts'
import {
  createNetworkKey,
  createSigner,
  type DeployToken,
  decodeToken,
  foldersOf,
  KEY_FILES,
  Roster,
} from '../identity/index.ts'
import { trustContract } from '../member/contract.ts'
import { renewAdmission } from '../member/index.ts'
import { lockHome } from '../ops/index.ts'
import { daemonContract } from './contract.ts'
import { daemonErrors } from './errors.ts'
import { type RunningDaemon, startDaemon } from './start.ts'

/** From nothing to a node that knows the roster of today; an admin on the other side of the world is asked in two. */
const START_TIMEOUT_MS = 15_000
const POLL_MS = 50
const PREFIX = 'warren-token-'
/** A home that is being filled is younger; one that is used is locked. */
const LEFT_OVER_MS = 60_000
/** What of the caller's environment the node gets: but for this its configuration stands in its home alone. */
const PASSED_ON = ['PATH', 'HOME', 'TMPDIR', 'XDG_RUNTIME_DIR', 'WARREN_NET_MDNS']

export interface TokenNodeOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Gives up a start that is not done. */
  readonly signal: AbortSignal
}

/** A node that lives in this process, on the socket of its own temporary home. */
export interface TokenNode {
  readonly home: string
  /** Ends it and removes its home. Safe to call twice. */
  stop(): Promise<void>
}

/**
 * Brings up the node of a deploy token: asks the admins that the token names for the network key, connects, and waits
 * until its roster is that of today. It listens nowhere, runs no apps, and its folder is gone after `stop`, and where
 * the process exits without it. Fails with `token_invalid`, and with `token_unusable` and why within 15 s.
 */
export async function startTokenNode(text: string, { env, signal }: TokenNodeOptions): Promise<TokenNode> {
  const token = decodeToken(text)
  const limit = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)])
  const stack = new AsyncDisposableStack()
  try {
    const homes = env.TMPDIR ?? tmpdir()
    await sweepLeftOver(homes)
    const home = await mkdtemp(join(homes, PREFIX))
    const removeNow = (): void => rmSync(home, { recursive: true, force: true })
    process.once('exit', removeNow)
    stack.defer(async () => {
      await rm(home, { recursive: true, force: true, maxRetries: 3 })
      process.off('exit', removeNow)
    })
    await fillHome(home, token, limit)
    const own = Object.fromEntries(PASSED_ON.map((name) => [name, env[name]]))
    const daemon = await startDaemon({ home, configFile: undefined, env: own, listen: [] })
    stack.defer(() => daemon.stop())
    // It has read them, and a kill from here on leaves none behind.
    await Promise.all([KEY_FILES.node, KEY_FILES.network].map((name) => rm(join(foldersOf(home).keysFolder, name))))
    await waitUntilCurrent(home, { env: own, limit, daemon })
    const ending = stack.move()
    return { home, stop: () => ending.disposeAsync() }
  } catch (thrown) {
    await stack.disposeAsync()
    signal.throwIfAborted()
    throw thrown
  }
}

/** Removes homes of this user whose process was killed. What cannot be removed stays. */
async function sweepLeftOver(homes: string): Promise<void> {
  const names = await readdir(homes).catch(() => [])
  for (const home of names.filter((name) => name.startsWith(PREFIX)).map((name) => join(homes, name))) {
    try {
      const { mtimeMs, uid } = await lstat(home)
      if (uid !== process.getuid?.() || Date.now() - mtimeMs < LEFT_OVER_MS) continue
      const lock = lockHome(home)
      await rm(home, { recursive: true, force: true }).finally(() => lock.release())
    } catch {
      // Locked, so in use; or gone meanwhile.
    }
  }
}

/** Writes keys, config and roster of a node that is the token. */
async function fillHome(home: string, token: DeployToken, signal: AbortSignal): Promise<void> {
  const { networkId, seed, admins, relays } = token
  // A relay answers as every member does, and needs no admin for it.
  const nodes = [...admins, ...relays]
  const { keysFolder, rosterFolder } = foldersOf(home)
  const { genesis, networkKeys } = await renewAdmission({
    privateKey: seed,
    networkId,
    nodes,
    log: silentLogger,
    signal,
  }).catch((thrown: unknown) => {
    throw unusable(whyNotAdmitted(thrown, signal), thrown)
  })
  const [networkKey] = networkKeys
  if (networkKey === undefined) throw unusable('an admin answered without the network key')
  // The folder and its modes come with the network key's own file.
  await createNetworkKey(join(keysFolder, KEY_FILES.network), toHex(networkKey))
  await createSigner(join(keysFolder, KEY_FILES.node), { seed })
  await Roster.create({ folder: rosterFolder, genesis, networkId })
  const addressesOf = (list: DeployToken['admins']): string[] => list.flatMap(({ addresses }) => addresses)
  // JSON is YAML.
  const config = {
    version: 1,
    net: { listen: [], mdns: false, peers: addressesOf(admins) },
    relay: { servers: addressesOf(relays) },
    logging: { level: 'error' },
  }
  await writeFileAtomic(join(home, 'config.yaml'), `${JSON.stringify(config)}\n`, { mode: 0o600 })
}

function whyNotAdmitted(thrown: unknown, signal: AbortSignal): string {
  const { code, message } = toWarrenError(thrown)
  if (signal.aborted || code === 'no_admin_reachable') return `no admin could be reached (${message})`
  if (code === 'not_admitted') return 'the admins do not know it (any more): it was removed, or it has expired'
  return message
}

interface Waiting {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly limit: AbortSignal
  readonly daemon: RunningDaemon
}

async function waitUntilCurrent(home: string, { env, limit, daemon }: Waiting): Promise<void> {
  const client = await connectLocal({ home, env })
  try {
    let why = 'its roster could not be compared with that of an admin'
    while (!limit.aborted) {
      const { standing } = await client.call(trustContract.status, {})
      if (standing.current) return await requireMember(client)
      why = standing.why
      await Promise.race([sleep(POLL_MS), daemon.stopped])
    }
    throw unusable(`after ${START_TIMEOUT_MS / 1000} s ${why}`)
  } finally {
    client.close()
  }
}

async function requireMember(client: ApiClient): Promise<void> {
  const { role } = await client.call(daemonContract.status, {})
  if (role === 'none') throw unusable('it was removed, or it has expired')
}

function unusable(why: string, cause?: unknown): Error {
  return daemonErrors.token_unusable(`the deploy token of WARREN_TOKEN cannot be used: ${why}`, {
    cause,
    hint: 'Have an admin look at it (warren tokens), or make a new one: warren token create NAME',
  })
}
