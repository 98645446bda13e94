/** A network of real daemons on loopback, and the identities that attack it. */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Role } from '../../src/api/index.ts'
import { toHex } from '../../src/base/bytes.ts'
import { daemonContract } from '../../src/daemon/contract.ts'
import {
  addNode,
  createNetworkKey,
  createSigner,
  type FoundedNetwork,
  foldersOf,
  foundNetwork,
  KEY_FILES,
  peerIdOf,
  Roster,
  readNetworkKey,
  signerFromSeed,
} from '../../src/identity/index.ts'
import { createWarren, type Warren } from '../flow/warren.ts'
import { freePorts } from '../free-ports.ts'
import { type Daemon, daemonAt, type Place } from './daemon.ts'

/** Whoever attacks: a key pair, and what the roster says of it. */
export interface Identity {
  readonly name: string
  readonly id: string
  readonly seed: Uint8Array
}

/** What the roster is to say of an attacker; undefined: nothing. */
export type Standing = Omit<Parameters<typeof addNode>[1], 'id' | 'name'> | undefined

export interface FleetInit<Name extends string> {
  /** How many daemons; the first is the admin. */
  readonly nodes: number
  readonly attackers: Readonly<Record<Name, Standing>>
  /** More statements, before any daemon starts. */
  readonly prepare?: (founded: FoundedNetwork, attackers: Readonly<Record<Name, Identity>>) => Promise<void>
}

export interface Fleet<Name extends string = string> {
  readonly warren: Warren
  readonly networkId: string
  /** The keys that the first daemon holds now. */
  networkKeys(): Uint8Array[]
  /** As it was before the first daemon started; not to be written to. */
  readonly founded: FoundedNetwork
  readonly daemons: readonly Daemon[]
  readonly attackers: Readonly<Record<Name, Identity>>
  /** Runs a command in the home of a daemon. */
  must(daemon: Daemon, ...words: string[]): ReturnType<Warren['must']>
  /** Makes an app that stays up and deploys it from the first daemon to all of them, or to these. Gives its digest. */
  deploy(app: string, on?: readonly Daemon[]): Promise<string>
  /** Waits until every daemon sees every other. */
  joined(): Promise<void>
  /** Ends daemons and apps, and deletes all. */
  cleanup(): Promise<void>
}

const ROLE_OF_NODES: Role = 'member'

/** Makes homes, keys and roster, and starts the daemons one after another. */
export async function createFleet<Name extends string>(init: FleetInit<Name>): Promise<Fleet<Name>> {
  const warren = await createWarren()
  const started: Daemon[] = []
  try {
    const { founded, places, attackers } = await makeHomes(init, warren.folder)
    for (const place of places) {
      const daemon = daemonAt(place, warren.env)
      started.push(daemon)
      await daemon.start()
    }
    const fleet: Fleet<Name> = {
      warren,
      networkId: founded.networkId,
      networkKeys: () => keysIn(homeOf(places, 0)),
      founded,
      daemons: started,
      attackers,
      must: (daemon, ...words) => warren.must('--home', daemon.home, ...words),
      deploy: (app, on = started) => deployTo({ warren, from: started[0] as Daemon, app, on }),
      joined: () => waitJoined(started),
      cleanup: () => endAll(warren, started),
    }
    await fleet.joined()
    return fleet
  } catch (error) {
    await endAll(warren, started)
    throw error
  }
}

/** A fresh key pair, its id later in order than `above`. */
export function newIdentity(name: string, above = ''): Identity {
  for (;;) {
    const seed = randomBytes(32)
    const id = peerIdOf(signerFromSeed(seed).publicKey)
    if (id > above) return { name, seed, id }
  }
}

/** Read each time, because they may be rotated. */
function keysIn(home: string): Uint8Array[] {
  const { keysFolder } = foldersOf(home)
  return ['network.key', 'network.previous.key']
    .map((file) => join(keysFolder, file))
    .filter((path) => existsSync(path))
    .map((path) => Buffer.from(readFileSync(path, 'utf8').trim(), 'hex'))
}

const homeOf = (places: readonly Place[], index: number): string => (places[index] as Place).home

/** The homes of a network that has not been started, and its keys. */
export async function makeHomes<Name extends string>(
  { nodes, attackers: standings, prepare }: FleetInit<Name>,
  root: string,
) {
  const ports = await freePorts(nodes)
  const homes = ports.map((port, index) => ({ name: `node-${index + 1}`, home: join(root, `node-${index + 1}`), port }))
  const [first, ...others] = homes as [(typeof homes)[number], ...typeof homes]
  const founded = await foundNetwork({ ...foldersOf(first.home), name: first.name })
  const places: Place[] = [{ ...first, id: founded.nodeId }]
  for (const other of others) {
    const { keysFolder } = foldersOf(other.home)
    await mkdir(keysFolder, { recursive: true, mode: 0o700 })
    const { publicKey } = await createSigner(join(keysFolder, KEY_FILES.node))
    const id = peerIdOf(publicKey)
    await addNode(founded, { id, name: other.name, role: ROLE_OF_NODES })
    places.push({ ...other, id })
  }
  const attackers = {} as Record<Name, Identity>
  const highest = places
    .map(({ id }) => id)
    .sort()
    .at(-1) as string
  for (const [index, [name, standing]] of (Object.entries(standings) as [Name, Standing][]).entries()) {
    // Of two nodes the one with the lower id opens some conversations: every other attacker is on that side for certain.
    attackers[name] = newIdentity(name, index % 2 === 0 ? highest : '')
    if (standing !== undefined) await addNode(founded, { id: attackers[name].id, name, ...standing })
  }
  await prepare?.(founded, attackers)
  for (const other of others) await copyMembership(first.home, other.home, founded.roster)
  for (const place of places) await writeFile(join(place.home, 'config.yaml'), configOf(place, places))
  return { founded, places, attackers }
}

/** What a node that joins is handed: the network key and the statements so far. */
async function copyMembership(from: string, to: string, source: Roster): Promise<void> {
  const key = await readNetworkKey(join(foldersOf(from).keysFolder, KEY_FILES.network))
  await createNetworkKey(join(foldersOf(to).keysFolder, KEY_FILES.network), toHex(key))
  const roster = await Roster.create({ folder: foldersOf(to).rosterFolder, genesis: source.genesis })
  await roster.merge(source.entriesAfter([]))
}

function configOf(self: Place, places: readonly Place[]): string {
  const peers = places.filter(({ id }) => id !== self.id).map(({ id, port }) => `/ip4/127.0.0.1/tcp/${port}/p2p/${id}`)
  const net = { listen: [`/ip4/127.0.0.1/tcp/${self.port}`], mdns: false, peers }
  return `version: 1\nnet: ${JSON.stringify(net)}\ndeploy: { min_healthy_time: 100ms }\n`
}

interface DeployOptions {
  readonly warren: Warren
  readonly from: Daemon
  readonly app: string
  readonly on: readonly Daemon[]
}

async function deployTo({ warren, from, app, on }: DeployOptions): Promise<string> {
  const folder = join(warren.folder, app)
  await mkdir(folder)
  await writeFile(join(folder, 'manifest.yaml'), `name: ${app}\nversion: 1.0.0\nentrypoint: run\n`)
  await writeFile(join(folder, 'run'), '#!/bin/sh\nexec sleep 1000\n', { mode: 0o755 })
  const targets = on.flatMap(({ name }) => ['--on', name])
  await warren.must('--home', from.home, 'deploy', folder, ...targets, '--json')
  const packages = (await warren.must('--home', from.home, 'packages', '--json')).json<Packaged[]>()
  return (packages.find(({ name }) => name === app) as Packaged).digest
}

interface Packaged {
  readonly name: string
  readonly digest: string
}

/** Waits until it holds. Fails with what is wanted where it does not in time. */
export async function until(
  what: string | (() => string),
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${typeof what === 'string' ? what : what()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function waitJoined(daemons: readonly Daemon[]): Promise<void> {
  for (const daemon of daemons) {
    const others = daemons.filter(({ id }) => id !== daemon.id)
    const seesAll = async (): Promise<boolean> => {
      const up = await daemon.peersUp()
      return others.every(({ name }) => up.includes(name))
    }
    await until(`${daemon.name} sees all others`, seesAll)
  }
}

async function endAll(warren: Warren, daemons: readonly Daemon[]): Promise<void> {
  const faults: unknown[] = []
  for (const daemon of daemons) {
    // Apps outlive their daemon: one that is gone is started once more to stop them.
    if (!daemon.isAlive()) await daemon.start().catch(() => undefined)
    const client = await daemon.client().catch(() => undefined)
    await client?.call(daemonContract.stop, { body: { apps: true } }).catch(() => undefined)
    await daemon.stop().catch((error: unknown) => faults.push(error))
  }
  await warren.cleanup()
  if (faults.length > 0) throw faults[0]
}
