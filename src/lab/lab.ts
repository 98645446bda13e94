import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { connectLocal, localDoorOf } from '../api/index.ts'
import { toHex } from '../base/bytes.ts'
import { writeFileAtomic } from '../base/files.ts'
import { sleep } from '../base/wait.ts'
import {
  addNode,
  createNetworkKey,
  createSigner,
  foldersOf,
  foundNetwork,
  KEY_FILES,
  peerIdOf,
  Roster,
  readNetworkKey,
} from '../identity/index.ts'
import { memberContract } from '../member/contract.ts'
import { labErrors } from './errors.ts'
import { freePorts } from './free-ports.ts'
import { type LabFile, labFolderOf, readLab, writeLab } from './lab-file.ts'
import { type RunOptions, runJson } from './program.ts'

/** A lab is one machine's: more daemons than this want more memory than it is likely to have. */
export const MAX_LAB_NODES = 50
const JOIN_TIMEOUT_MS = 30_000
const JOIN_POLL_MS = 50

/** A node of a lab. */
export interface LabNode {
  readonly name: string
  readonly id: string
  readonly home: string
  readonly socket: string
}

/** Where a lab is, and how its daemons are driven. */
export interface Lab {
  readonly home: string
  readonly run: RunOptions
}

/**
 * Brings a lab up: makes it where there is none, starts the daemons that do not run, and returns when every node sees
 * every other. Fails with `lab_nodes_differ`, `lab_not_joined`, or as a daemon does at its start.
 */
export async function upLab(lab: Lab, count: number | undefined, onStep: (text: string) => void): Promise<LabNode[]> {
  const found = await readLab(lab.home)
  if (found !== undefined && count !== undefined && found.nodes.length !== count) {
    throw labErrors.lab_nodes_differ(
      `the lab in ${labFolderOf(lab.home)} has ${found.nodes.length} nodes, not ${count}`,
      {
        hint: 'Take it down first: warren lab down',
      },
    )
  }
  let file = found
  if (file === undefined) {
    onStep(`making ${count ?? 3} nodes`)
    file = await makeLab(lab.home, count ?? 3)
  }
  onStep(`starting ${file.nodes.length} daemons`)
  await Promise.all(file.nodes.map((node) => startNode(lab, node.home)))
  onStep('joining')
  await waitJoined(lab, file)
  return file.nodes.map(({ name, id, home }) => ({ name, id, home, socket: localDoorOf(home, lab.run.env).socket }))
}

/** Stops every app and every daemon of the lab and deletes it. Fails with `lab_not_found` where there is none. */
export async function downLab(lab: Lab, onStep: (text: string) => void): Promise<string[]> {
  const file = await readLab(lab.home)
  if (file === undefined) throw noLab(lab.home)
  onStep('stopping apps and daemons')
  await Promise.all(
    file.nodes.map(async ({ home }) => {
      // Apps outlive their daemon, so one that was killed is started once more to stop them.
      await startNode(lab, home)
      await runJson(['--home', home, 'daemon', 'stop', '--apps'], lab.run)
    }),
  )
  await rm(labFolderOf(lab.home), { recursive: true, force: true })
  return file.nodes.map(({ name }) => name)
}

/** The nodes of the lab, each with whether its daemon runs and how many of the others it sees. */
export async function labStatus(lab: Lab): Promise<(LabNode & { state: 'up' | 'down'; peers: number })[]> {
  const file = await readLab(lab.home)
  if (file === undefined) throw noLab(lab.home)
  return await Promise.all(
    file.nodes.map(async ({ name, id, home }) => {
      const rows = await nodesOf(lab, home).catch(() => undefined)
      const peers = rows?.filter(({ state }) => state === 'up').length ?? 0
      const state = rows === undefined ? ('down' as const) : ('up' as const)
      return { name, id, home, socket: localDoorOf(home, lab.run.env).socket, state, peers }
    }),
  )
}

/** Homes, keys and rosters as any network has them: the first node founds it, and names the others by its statements. */
async function makeLab(home: string, count: number): Promise<LabFile> {
  const folder = labFolderOf(home)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    const ports = await freePorts(count)
    const homes = ports.map((port, index) => ({
      name: `burrow-${index + 1}`,
      home: join(folder, `burrow-${index + 1}`),
      port,
    }))
    const [first, ...others] = homes as [PlannedHome, ...PlannedHome[]]
    const founded = await foundNetwork({ ...foldersOf(first.home), name: first.name, labels: { lab: 'true' } })
    const nodes = [{ ...first, id: founded.nodeId }]
    for (const other of others) {
      await mkdir(foldersOf(other.home).keysFolder, { recursive: true, mode: 0o700 })
      const { publicKey } = await createSigner(join(foldersOf(other.home).keysFolder, KEY_FILES.node))
      const id = peerIdOf(publicKey)
      await addNode(founded, { id, name: other.name, role: 'member', labels: { lab: 'true' } })
      nodes.push({ ...other, id })
    }
    for (const other of others) await copyMembership(first.home, other.home, founded.roster)
    for (const node of nodes) await writeFileAtomic(join(node.home, 'config.yaml'), configOf(node, nodes))
    await writeLab(home, { nodes })
    return { nodes }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

interface PlannedHome {
  readonly name: string
  readonly home: string
  readonly port: number
}

/** What a node that joins is handed: the network key and the statements so far. */
async function copyMembership(from: string, to: string, source: Roster): Promise<void> {
  const key = await readNetworkKey(join(foldersOf(from).keysFolder, KEY_FILES.network))
  await createNetworkKey(join(foldersOf(to).keysFolder, KEY_FILES.network), toHex(key))
  const roster = await Roster.create({ folder: foldersOf(to).rosterFolder, genesis: source.genesis })
  await roster.merge(source.entriesAfter([]))
}

type PlannedNode = LabFile['nodes'][number]

/** A lab stays on this machine: loopback only, nothing announced, every other node a static peer. */
function configOf(self: PlannedNode, nodes: readonly PlannedNode[]): string {
  const peers = nodes
    .filter(({ id }) => id !== self.id)
    .map(({ id, port }) => `    - /ip4/127.0.0.1/tcp/${port}/p2p/${id}`)
  const list = peers.length === 0 ? '  peers: []' : `  peers:\n${peers.join('\n')}`
  return `version: 1\nnet:\n  listen:\n    - /ip4/127.0.0.1/tcp/${self.port}\n  mdns: false\n${list}\n`
}

async function startNode(lab: Lab, home: string): Promise<void> {
  await runJson(['--home', home, 'daemon', 'start'], lab.run)
}

async function waitJoined(lab: Lab, file: LabFile): Promise<void> {
  const deadline = performance.now() + JOIN_TIMEOUT_MS
  let waiting = [...file.nodes]
  while (waiting.length > 0) {
    const rows = await Promise.all(waiting.map(({ home }) => nodesOf(lab, home)))
    const missing = waiting.map((node, index) => ({
      node,
      down: (rows[index] ?? []).filter(({ state }) => state === 'down'),
    }))
    waiting = missing.filter(({ down }) => down.length > 0).map(({ node }) => node)
    if (waiting.length > 0 && performance.now() > deadline) {
      const said = missing
        .filter(({ down }) => down.length > 0)
        .map(({ node, down }) => `${node.name} does not see ${down.map(({ name }) => name).join(', ')}`)
      throw labErrors.lab_not_joined(said.join('; '), {
        hint: `Look at a daemon's log: ${join(file.nodes[0]?.home ?? '', 'daemon.log')}`,
      })
    }
    if (waiting.length > 0) await sleep(JOIN_POLL_MS, { signal: lab.run.signal })
  }
}

async function nodesOf({ run }: Lab, home: string) {
  const client = await connectLocal({ home, env: run.env })
  return await client.call(memberContract.list, {}, { signal: run.signal })
}

function noLab(home: string): Error {
  return labErrors.lab_not_found(`there is no lab in ${labFolderOf(home)}`, { hint: 'Bring one up: warren lab up' })
}
