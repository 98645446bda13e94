import { readFileBounded } from '../base/files.ts'
import { identityErrors } from './errors.ts'
import { publicKeyOfPeer } from './peer-id.ts'

/** About ten thousand lines; a longer file is a mistake. */
const MAX_FILE_BYTES = 1024 * 1024
const OPTION = /^([a-z][a-z0-9_]{0,31})=([\x21-\x7e]{1,128})$/

/** A line of the `authorized_peers` file. */
export interface AuthorizedPeer {
  readonly id: string
  /** Options such as `name=office`, by their key. Keys that this release does not know are kept. */
  readonly options: Readonly<Record<string, string>>
  /** Line number from 1. */
  readonly line: number
}

/**
 * Parses `authorized_peers`: a peer ID a line, then `key=value` options; `#` starts a comment; empty lines are
 * skipped. An id named twice counts once, the last line wins. Fails with `authorized_peers_invalid`, naming file and
 * line: one bad line refuses the file, because a skipped one could lock a node out unnoticed.
 */
export function parseAuthorizedPeers(text: string, file = 'authorized_peers'): AuthorizedPeer[] {
  const peers = new Map<string, AuthorizedPeer>()
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1
    const [id, ...words] = raw
      .trim()
      .replace(/(^|\s)#.*$/, '')
      .trim()
      .split(/\s+/)
    if (id === undefined || id === '') continue
    if (publicKeyOfPeer(id) === undefined) {
      throw identityErrors.authorized_peers_invalid(
        `${file}:${line}: "${printable(id)}" is not the peer ID of an Ed25519 key`,
        {
          hint: 'A line is a peer ID such as 12D3KooW…, then options such as name=office.',
        },
      )
    }
    const options: Record<string, string> = {}
    for (const word of words) {
      const [, key, value] = OPTION.exec(word) ?? []
      if (key === undefined || value === undefined) {
        throw identityErrors.authorized_peers_invalid(
          `${file}:${line}: "${printable(word)}" is not an option of the form name=value`,
        )
      }
      options[key] = value
    }
    peers.delete(id)
    peers.set(id, { id, options, line })
  }
  return [...peers.values()]
}

/** Reads and parses the file; where there is none, nobody. Fails as `parseAuthorizedPeers`. */
export async function readAuthorizedPeers(path: string): Promise<AuthorizedPeer[]> {
  const bytes = await readFileBounded(path, MAX_FILE_BYTES)
  return bytes === undefined ? [] : parseAuthorizedPeers(bytes.toString('utf8'), path)
}

function printable(word: string): string {
  return word.slice(0, 60).replaceAll(/[^\x20-\x7e]/g, '?')
}
