import { join } from 'node:path'
import { WarrenError } from '../base/errors.ts'
import { pathExists } from '../base/files.ts'
import { type Logger, silentLogger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import type { Author } from './changes.ts'
import { type Signer, signerFromSeed } from './ed25519.ts'
import { identityErrors } from './errors.ts'
import { createSigner, type KeyFile, readKeyFile } from './key-files.ts'
import { KEY_FILES } from './keyring.ts'
import type { Roster } from './roster/roster.ts'

/** The key by which this node, where it is an admin, signs changes of the network. */
export interface Authority {
  /** Who signs. Fails with `not_admin`, saying who is, and with `key_locked` while a passphrase is needed. */
  author(): Author
  /** The same; undefined where it would fail. */
  authorOrUndefined(): Author | undefined
  /** True while authority.key waits for its passphrase. */
  isLocked(): boolean
  /**
   * Opens authority.key until the daemon ends; the passphrase is kept nowhere. Fails with `passphrase_wrong`, and with
   * `key_not_found` where this node has no authority key.
   */
  unlock(passphrase: string): Promise<void>
  /** Its public key; authority.key is made (0600) where there is none. */
  publicKey(): Promise<Uint8Array>
}

export interface AuthorityOptions {
  readonly keysFolder: string
  readonly roster: Roster
  readonly nodeId: string
  /** Tried once, for a start without a person. */
  readonly passphrase?: string | undefined
  readonly log?: Logger
}

/**
 * Reads authority.key where there is one. A passphrase that does not open it is logged, and the key stays locked: a
 * daemon keeps its apps running without it. Fails as `readKeyFile`.
 */
export async function createAuthority(options: AuthorityOptions): Promise<Authority> {
  const path = join(options.keysFolder, KEY_FILES.authority)
  const holder = new AuthorityKey(options, path)
  if (await pathExists(path)) await holder.read(await readKeyFile(path))
  const { passphrase, log = silentLogger } = options
  if (holder.isLocked() && passphrase !== undefined) {
    await holder.unlock(passphrase).catch((error: unknown) => {
      if (!(error instanceof WarrenError) || error.code !== 'passphrase_wrong') throw error
      log.warn({ file: path }, 'the passphrase that was given does not open this key; it stays locked')
    })
  }
  return holder
}

class AuthorityKey implements Authority {
  readonly #options: AuthorityOptions
  readonly #path: string
  /** Opening costs memory, so one at a time. */
  readonly #queue = new SerialQueue()
  #file: KeyFile | undefined
  #signer: Signer | undefined

  constructor(options: AuthorityOptions, path: string) {
    this.#options = options
    this.#path = path
  }

  async read(file: KeyFile): Promise<void> {
    this.#file = file
    this.#signer = file.isProtected ? undefined : signerFromSeed(await file.open())
  }

  author(): Author {
    const { roster, nodeId } = this.#options
    const admin = roster.state.admins.get(nodeId)
    if (admin === undefined) {
      throw identityErrors.not_admin('this node is not an admin of its network', { hint: this.#whoIs() })
    }
    if (this.#file?.keyId !== admin.keyId) {
      const what = this.#file === undefined ? 'is missing' : 'is not the one that the network knows'
      throw identityErrors.not_admin(`this node is an admin, but ${this.#path} ${what}`, {
        hint: `Restore it from a backup. ${this.#whoIs()}`,
      })
    }
    if (this.#signer === undefined) {
      throw identityErrors.key_locked(`${this.#path} is protected by a passphrase, which the daemon was not given`, {
        hint: 'Give it: warren key unlock',
      })
    }
    return { roster, authority: this.#signer, authorId: nodeId }
  }

  authorOrUndefined(): Author | undefined {
    const { roster, nodeId } = this.#options
    const isKnown = this.#signer !== undefined && roster.state.admins.get(nodeId)?.keyId === this.#signer.keyId
    return isKnown ? this.author() : undefined
  }

  isLocked(): boolean {
    return this.#file !== undefined && this.#signer === undefined
  }

  unlock(passphrase: string): Promise<void> {
    return this.#queue.run(async () => {
      if (!(await pathExists(this.#path))) {
        throw identityErrors.key_not_found(`there is no authority key at ${this.#path}: this node is not an admin`, {
          hint: this.#whoIs(),
        })
      }
      const file = await readKeyFile(this.#path)
      const seed = await file.open(passphrase)
      this.#file = file
      this.#signer = signerFromSeed(seed)
    })
  }

  publicKey(): Promise<Uint8Array> {
    return this.#queue.run(async () => {
      if (this.#file === undefined) {
        if (!(await pathExists(this.#path))) await createSigner(this.#path)
        await this.read(await readKeyFile(this.#path))
      }
      return (this.#file as unknown as KeyFile).publicKey
    })
  }

  #whoIs(): string {
    const { admins, nodes } = this.#options.roster.state
    const names = [...admins.keys()].map((id) => nodes.get(id)?.name ?? id)
    return names.length === 0
      ? 'No admin is left. The recovery phrase makes one: warren trust recover'
      : `Run it on an admin: ${names.join(', ')}`
  }
}
