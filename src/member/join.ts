import { mkdir, readFile, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fromHex } from '../base/bytes.ts'
import { baseErrors, type WarrenError } from '../base/errors.ts'
import { pathExists, writeFileAtomic } from '../base/files.ts'
import type { Logger } from '../base/log.ts'
import {
  createSigner,
  decodeJoinCode,
  type Genesis,
  identityErrors,
  inviteSignerOf,
  type JoinCode,
  KEY_FILES,
  loadSigner,
  NETWORK_KEY_FILES,
  peerIdOf,
  Roster,
  rawPrivateKey,
  readGenesis,
  replaceNetworkKey,
  type Signer,
  signJoin,
  signPassage,
  TRUSTED_FOLDER,
} from '../identity/index.ts'
import { encodeJoinQuestion, encodePassageQuestion, type Joined, parseJoined } from './admission-messages.ts'
import { memberErrors } from './errors.ts'
import { type Asked, type AskedNode, askInTurn, noAdminReachable } from './protocol/ask-admission.ts'

/** Says that the keys beside it are of a join that has not come to its end, and of which network. */
const MARKER_FILE = 'joining'
const NODE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

export interface JoinOptions {
  /** As text, or read already. */
  readonly code: string | JoinCode
  readonly keysFolder: string
  readonly rosterFolder: string
  /** A wish; the name that the invite gives goes before it. */
  readonly name?: string | undefined
  /** Multiaddrs at which the admins are asked before those of the code: what a port or a tunnel leads to them. */
  readonly at?: readonly string[] | undefined
  readonly log: Logger
  readonly signal?: AbortSignal | undefined
  /** Hears whom it asks. */
  readonly onStep?: ((step: { readonly asking: string }) => void) | undefined
}

/** A home that belongs to a network, after `joinNetwork`. */
export interface JoinedNetwork {
  readonly networkId: string
  readonly nodeId: string
  readonly name: string
  readonly role: Joined['role']
  /** To connect with first; those who were asked, the one that answered before the others. */
  readonly admins: readonly AskedNode[]
  /** Relays of the network, over which the others may be reached. */
  readonly relays: readonly AskedNode[]
}

/**
 * Makes this home a node of the network that a join code is for: makes its keys, asks the admins in the code one after
 * another, and writes network key and genesis; the first connection brings the rest. Fails with `roster_exists` or
 * `key_exists` where the home is in use, `join_code_invalid`, `invite_unknown`, `invite_expired`, `invite_used`,
 * `invite_closed`, `node_removed`, `wrong_network` and `no_admin_reachable`. What it wrote is taken back, unless an admin
 * may have admitted this node without its answer getting here: then the same command goes on with the same identity.
 */
export async function joinNetwork(options: JoinOptions): Promise<JoinedNetwork> {
  const given = typeof options.code === 'string' ? decodeJoinCode(options.code) : options.code
  const code = withAddresses(options.at, given)
  checkName(options.name)
  await refuseTakenHome(options, code.networkId)
  const home = await prepareHome(options, code.networkId)
  let mayBeIn = true
  try {
    const asked: Asked<Joined>[] = []
    const found = await askAdmins(code, { home, asked, ...options })
    if (found === undefined) {
      mayBeIn = asked.some(({ outcome }) => outcome === 'unsaid')
      throw failureOf(asked, mayBeIn)
    }
    const { answer, node } = found
    mayBeIn = false
    const genesis = readGenesis(Buffer.from(answer.genesis, 'base64'), code.networkId)
    // Where a full disk ends it here, the next attempt gets the same answer.
    mayBeIn = true
    await settle(answer, genesis, options)
    const admins = [node, ...given.admins.filter(({ id }) => id !== node.id)]
    const { networkId, relays } = code
    return { networkId, nodeId: home.nodeId, name: answer.name, role: answer.role, admins, relays }
  } catch (error) {
    // Ended by hand while somebody was being asked: as if the answer had been lost.
    if (!mayBeIn) await takeBack(options, home.madeFolder)
    throw error
  }
}

/** Where it is not said whose address it is, it may be any admin's: who answers there shows which. */
function withAddresses(at: readonly string[] = [], code: JoinCode): JoinCode {
  const admins = code.admins.map(({ id, addresses }) => {
    const more = at.filter((address) => !address.includes('/p2p/') || address.endsWith(`/p2p/${id}`))
    return { id, addresses: [...more.map((address) => address.replace(/\/p2p\/[^/]+$/, '')), ...addresses] }
  })
  return { ...code, admins }
}

function checkName(name: string | undefined): void {
  if (name === undefined || NODE_NAME.test(name)) return
  throw baseErrors.invalid_value(`"${name}" is no name for a node`, {
    hint: 'Use lower-case letters, digits and hyphens, at most 63.',
  })
}

async function refuseTakenHome({ keysFolder, rosterFolder }: JoinOptions, networkId: string): Promise<void> {
  if (await pathExists(join(rosterFolder, 'log'))) {
    throw identityErrors.roster_exists(`${rosterFolder} already holds the roster of a network`, {
      hint: 'Use another home (--home FOLDER) for another network.',
    })
  }
  const marker = await readFile(join(keysFolder, MARKER_FILE), 'utf8').catch(() => undefined)
  if (marker?.trim() === networkId) return
  const files = [KEY_FILES.node, KEY_FILES.authority, ...Object.values(NETWORK_KEY_FILES)]
  for (const path of files.map((file) => join(keysFolder, file))) {
    if (!(await pathExists(path))) continue
    throw identityErrors.key_exists(`${path} is already there: this home has an identity`, {
      hint: 'Join with another home: warren --home FOLDER join CODE',
    })
  }
}

interface Home {
  readonly nodeId: string
  readonly seed: Uint8Array
  readonly authority: Signer
  /** The outermost folder that was not there before. */
  readonly madeFolder: string | undefined
}

/** The keys; those of an earlier attempt where it did not come to its end. */
async function prepareHome({ keysFolder }: JoinOptions, networkId: string): Promise<Home> {
  const madeFolder = await mkdir(join(keysFolder, TRUSTED_FOLDER), { recursive: true, mode: 0o700 })
  await writeFileAtomic(join(keysFolder, MARKER_FILE), `${networkId}\n`)
  const nodePath = join(keysFolder, KEY_FILES.node)
  const node = await loadOrCreate(nodePath)
  // The request names it in any case: which role the invite has is told by the answer.
  const authority = await loadOrCreate(join(keysFolder, KEY_FILES.authority))
  return { nodeId: peerIdOf(node.publicKey), seed: await rawPrivateKey(nodePath), authority, madeFolder }
}

async function loadOrCreate(path: string): Promise<Signer> {
  return (await pathExists(path)) ? loadSigner(path) : createSigner(path)
}

/** The first answer that lets this node in; undefined where nobody's does. */
async function askAdmins(
  code: JoinCode,
  { home, asked, name, log, signal, onStep }: JoinOptions & { home: Home; asked: Asked<Joined>[] },
): Promise<{ answer: Joined; node: AskedNode } | undefined> {
  const invite = inviteSignerOf(code.secret).keyId
  const turns = askInTurn({
    privateKey: home.seed,
    nodes: code.admins,
    relays: code.relays,
    compose: (transcript) =>
      encodeJoinQuestion({
        invite,
        name,
        authority: home.authority.publicKey,
        signature: signJoin(code.secret, transcript),
      }),
    composePassage: (to, transcript) =>
      encodePassageQuestion({ to, invite, signature: signPassage(code.secret, transcript, to) }),
    parse: parseJoined,
    log,
    signal,
    onStep,
  })
  for await (const turn of turns) {
    asked.push(turn)
    if (turn.outcome === 'answered') return { answer: turn.answer, node: turn.node }
    // Another admin would say the same.
    if (turn.outcome === 'refused' && turn.code in REFUSALS) return undefined
  }
  return undefined
}

/** What an admin says to who has the secret, where asking another one is of no use. */
const REFUSALS: Readonly<Record<string, () => WarrenError>> = {
  invite_expired: () =>
    memberErrors.invite_expired('the invite of this code has expired', {
      hint: 'An admin makes a new one: warren invite',
    }),
  invite_used: () =>
    memberErrors.invite_used('the invite of this code has been used already', {
      hint: 'An admin makes a new one: warren invite',
    }),
  invite_closed: () =>
    memberErrors.invite_closed('an admin has closed the invite of this code', {
      hint: 'An admin makes a new one: warren invite',
    }),
  node_removed: () =>
    identityErrors.node_removed('this node was removed from the network, which is for good', {
      hint: 'Move the keys folder away, then join again with a new code.',
    }),
}

function failureOf(asked: readonly Asked<Joined>[], mayBeIn: boolean): WarrenError {
  const refused = asked.find((turn) => turn.outcome === 'refused' && turn.code in REFUSALS)
  if (refused?.outcome === 'refused') return (REFUSALS[refused.code] as () => WarrenError)()
  if (!mayBeIn && asked.some(({ outcome }) => outcome === 'silence')) {
    return identityErrors.invite_unknown('the admins that answer do not know the invite of this code', {
      hint: 'It may be long over, or too new for them: try again in a minute, or ask for a new code.',
    })
  }
  return noAdminReachable(asked)
}

/** Writes what the answer brought; the genesis last, for with it the home belongs to the network. */
async function settle(answer: Joined, genesis: Genesis, { keysFolder, rosterFolder, log }: JoinOptions): Promise<void> {
  const [newest, previous] = answer.network_keys.map((key) => fromHex(key) as Uint8Array)
  if (newest !== undefined) await replaceNetworkKey(join(keysFolder, NETWORK_KEY_FILES.newest), newest)
  if (previous !== undefined) await replaceNetworkKey(join(keysFolder, NETWORK_KEY_FILES.previous), previous)
  if (answer.role !== 'admin') await rm(join(keysFolder, KEY_FILES.authority), { force: true })
  await Roster.create({ folder: rosterFolder, genesis, log })
  await rm(join(keysFolder, MARKER_FILE), { force: true })
}

async function takeBack({ keysFolder }: JoinOptions, madeFolder: string | undefined): Promise<void> {
  const files = [KEY_FILES.node, KEY_FILES.authority, ...Object.values(NETWORK_KEY_FILES), MARKER_FILE]
  for (const file of files) await rm(join(keysFolder, file), { force: true }).catch(() => undefined)
  // What is not empty stays, and what was there before.
  for (let folder = join(keysFolder, TRUSTED_FOLDER); ; folder = dirname(folder)) {
    const isGone = await rmdir(folder).then(
      () => true,
      () => false,
    )
    if (!isGone || folder === (madeFolder ?? keysFolder)) return
  }
}
