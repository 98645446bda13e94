import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, systemClock } from '../base/clock.ts'
import { pathExists } from '../base/files.ts'
import { type Logger, silentLogger } from '../base/log.ts'
import { type Author, addNode, trustKey } from './changes.ts'
import { identityErrors } from './errors.ts'
import { createSigner } from './key-files.ts'
import { checkKeysFolder } from './key-permissions.ts'
import { KEY_FILES, TRUSTED_FOLDER } from './keyring.ts'
import { createNetworkKey } from './network-key.ts'
import { writeNewFile } from './new-file.ts'
import { peerIdOf } from './peer-id.ts'
import { formatPublicKey } from './public-key-file.ts'
import { generateRecoveryPhrase, rootSignerOf } from './recovery-phrase.ts'
import { createGenesis } from './roster/genesis.ts'
import { ROSTER_FILE } from './roster/log-file.ts'
import { Roster } from './roster/roster.ts'

/** What the roster writes beside its log with the first statement. */
const OWN_MARK = 'own'

export interface FoundNetworkOptions {
  readonly keysFolder: string
  readonly rosterFolder: string
  /** Name of the first node, which is also the name of its signing key. */
  readonly name: string
  readonly labels?: Readonly<Record<string, string>>
  readonly clock?: Clock
  readonly log?: Logger
}

/** A network that was made, with its first node, an admin; it can author further changes. */
export interface FoundedNetwork extends Author {
  readonly networkId: string
  /** Id of the first node. */
  readonly nodeId: string
  /** Key id of the signing key, which the network trusts. */
  readonly signingKeyId: string
  /** Changes the admins when all else is lost. Show it once; it is kept nowhere. */
  readonly recoveryPhrase: string
  /** What was written, in order. */
  readonly made: readonly Made[]
}

/** A file or folder that was written. */
export interface Made {
  readonly what: string
  readonly path: string
}

/**
 * Makes a network and its first node, an admin: node, authority, signing and network key, the genesis, and the
 * statements that name the node and trust its signing key. Refuses to overwrite anything (`key_exists`,
 * `roster_exists`) before it writes; takes back what it wrote where it fails half-way.
 */
export async function foundNetwork(options: FoundNetworkOptions): Promise<FoundedNetwork> {
  await refuseExisting(options)
  await mkdir(join(options.keysFolder, TRUSTED_FOLDER), { recursive: true, mode: 0o700 })
  await checkKeysFolder(options.keysFolder)
  const made: Made[] = []
  try {
    return await makeNetwork(options, made)
  } catch (error) {
    const paths = [...made.map(({ path }) => path), join(options.rosterFolder, OWN_MARK)]
    for (const path of paths) await rm(path, { force: true }).catch(() => undefined)
    throw error
  }
}

async function makeNetwork(options: FoundNetworkOptions, made: Made[]): Promise<FoundedNetwork> {
  const { keysFolder, rosterFolder, name, labels = {}, clock = systemClock, log = silentLogger } = options
  const making = async <T>(what: string, file: string, make: (path: string) => Promise<T>): Promise<T> => {
    const path = join(keysFolder, file)
    const result = await make(path)
    made.push({ what, path })
    return result
  }
  const node = await making('node key', KEY_FILES.node, (path) => createSigner(path))
  const authority = await making('authority key', KEY_FILES.authority, (path) => createSigner(path))
  const signing = await making('signing key', KEY_FILES.signing, (path) => createSigner(path))
  await making('public signing key', KEY_FILES.signingPublic, (path) =>
    writeNewFile(path, formatPublicKey(signing.publicKey, name), 0o644),
  )
  await making('network key', KEY_FILES.network, (path) => createNetworkKey(path))
  const nodeId = peerIdOf(node.publicKey)
  const recoveryPhrase = generateRecoveryPhrase()
  const genesis = createGenesis({ rootSigner: rootSignerOf(recoveryPhrase), admin: { id: nodeId, authority }, clock })
  const roster = await Roster.create({ folder: rosterFolder, genesis, clock, log })
  made.push({ what: 'roster', path: join(rosterFolder, ROSTER_FILE) })
  const author = { roster, authority, authorId: nodeId }
  await addNode(author, { id: nodeId, name, role: 'admin', labels })
  await trustKey(author, { publicKey: signing.publicKey, name })
  return { ...author, networkId: roster.networkId, nodeId, signingKeyId: signing.keyId, recoveryPhrase, made }
}

async function refuseExisting({ keysFolder, rosterFolder }: FoundNetworkOptions): Promise<void> {
  if (await pathExists(join(rosterFolder, ROSTER_FILE))) {
    throw identityErrors.roster_exists(`${rosterFolder} already holds the roster of a network`, {
      hint: 'Use another home (--home FOLDER) for another network.',
    })
  }
  for (const path of Object.values(KEY_FILES).map((file) => join(keysFolder, file))) {
    if (!(await pathExists(path))) continue
    throw identityErrors.key_exists(`${path} is already there: this home has an identity`, {
      hint: 'Keep it, or make the network in another home: warren --home FOLDER init',
    })
  }
}
