import { createHash } from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import { KEY_BYTES } from './ed25519.ts'
import { peerIdOf, publicKeyOfPeer } from './peer-id.ts'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CHECKSUM_BYTES = 4
/** Three admins with four addresses of 200 letters each, and room to spare; more is not read. */
const MAX_BODY_BYTES = 4096
/** More admins would make a code too long for a person to paste, or for a QR code to be read from a screen. */
const MAX_ADMINS = 3
const MAX_ADDRESSES = 4
/** Each makes a code longer by some 65 letters, and nodes keep a way open at two. */
const MAX_RELAYS = 2
/** An IPv4 and an IPv6 one, or a name. */
const MAX_RELAY_ADDRESSES = 2
const MAX_ADDRESS_BYTES = 200

/** An admin, or a relay, as a code names it. */
export interface CodeAdmin {
  /** Peer id. */
  readonly id: string
  /** Multiaddrs; as they are read, each ends with `/p2p/` and the id. */
  readonly addresses: readonly string[]
}

/** Says why a text is no code; thrown as it is by whoever names the kind of code. */
type Fail = (what: string) => Error

/** A code as text: the prefix, a hyphen, then body and checksum in Crockford's base32. */
export function encodeCodeText(prefix: string, body: Uint8Array): string {
  return `${prefix}-${toBase32(Buffer.concat([body, checksumOf(prefix, body)]))}`
}

/**
 * The body of a code as a person types or pastes it: case, spaces, line ends and hyphens do not matter, O is 0, I and L
 * are 1. Throws what `fail` makes, which must not quote the code.
 */
export function decodeCodeText(prefix: string, text: string, fail: Fail): Buffer {
  // Longer than the longest code with a separator after each letter.
  if (text.length > MAX_BODY_BYTES * 4) throw fail('it is too long')
  const letters = text.toUpperCase().replaceAll(/[\s-]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1')
  if (!letters.startsWith(prefix)) throw fail(`it does not start with ${prefix}-`)
  const bytes = fromBase32(letters.slice(prefix.length), fail)
  if (bytes.length <= CHECKSUM_BYTES || bytes.length > MAX_BODY_BYTES) throw fail('it is not of the length of a code')
  const body = bytes.subarray(0, -CHECKSUM_BYTES)
  if (!checksumOf(prefix, body).equals(bytes.subarray(-CHECKSUM_BYTES))) {
    throw fail('its checksum does not fit: a letter is wrong, or the end is missing')
  }
  return body
}

/** Whom a code names: who may be asked, and relays over which they may be reached. */
export interface CodeNodes {
  readonly admins: readonly CodeAdmin[]
  readonly relays: readonly CodeAdmin[]
}

/** What comes in a code after its own: version 1 has admins alone, version 2 relays after them. */
export const CODE_VERSIONS = { admins: 1, relays: 2 } as const

/** The version of the code that names these, and they as bytes. Relays that no reader would reach are left out. */
export function encodeNodes({ admins, relays }: CodeNodes): { version: number; bytes: Buffer } {
  const reachable = relays.filter(({ addresses }) => addresses.length > 0)
  const bytes = encodeList(admins, { most: MAX_ADMINS, addresses: MAX_ADDRESSES })
  if (reachable.length === 0) return { version: CODE_VERSIONS.admins, bytes }
  const more = encodeList(reachable, { most: MAX_RELAYS, addresses: MAX_RELAY_ADDRESSES })
  return { version: CODE_VERSIONS.relays, bytes: Buffer.concat([bytes, more]) }
}

interface ListLimits {
  readonly most: number
  /** Of each. */
  readonly addresses: number
}

/** Nodes as bytes, with addresses of 200 bytes each; what is more than the limits is left out. */
function encodeList(nodes: readonly CodeAdmin[], limits: ListLimits): Buffer {
  const known = nodes.flatMap(({ id, addresses }) => {
    const publicKey = publicKeyOfPeer(id)
    return publicKey === undefined ? [] : [{ id, publicKey, addresses }]
  })
  const parts = known.slice(0, limits.most).map(({ id, publicKey, addresses }) => {
    const encoded = addresses
      .map((address) => encodeAddress(withoutPeer(address, id)))
      .filter((bytes) => bytes.length <= MAX_ADDRESS_BYTES + 2)
      .slice(0, limits.addresses)
    return Buffer.concat([publicKey, Buffer.of(encoded.length), ...encoded])
  })
  return Buffer.concat([Buffer.of(parts.length), ...parts])
}

/** Reads a body field after field. What is not there fails as it says at its making. */
export class CodeReader {
  readonly #body: Buffer
  readonly #fail: Fail
  #at = 0

  constructor(body: Buffer, fail: Fail) {
    this.#body = body
    this.#fail = fail
  }
  bytes(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#body.length) throw this.#fail('it ends too early')
    const bytes = this.#body.subarray(this.#at, end)
    this.#at = end
    return bytes
  }
  byte(): number {
    return this.bytes(1)[0] as number
  }
  /** The version of the code, its first byte. */
  version(): number {
    const version = this.byte()
    if (version === CODE_VERSIONS.admins || version === CODE_VERSIONS.relays) return version
    throw this.#fail('it is of a newer release of Warren')
  }
  /** What `encodeNodes` wrote for this version. */
  nodes(version: number): CodeNodes {
    const admins = this.#nodes({ most: MAX_ADMINS, addresses: MAX_ADDRESSES })
    if (version === CODE_VERSIONS.admins) return { admins, relays: [] }
    return { admins, relays: this.#nodes({ most: MAX_RELAYS, addresses: MAX_RELAY_ADDRESSES }) }
  }
  end(): void {
    if (this.#at !== this.#body.length) throw this.#fail('there is more in it than belongs there')
  }

  #nodes(limits: ListLimits): CodeAdmin[] {
    return this.#list(limits.most, () => {
      const id = peerIdOf(this.bytes(KEY_BYTES))
      const addresses = this.#list(limits.addresses, () => `${this.#address()}/p2p/${id}`)
      return { id, addresses }
    })
  }
  #list<T>(max: number, read: () => T): T[] {
    const count = this.byte()
    if (count > max) throw this.#fail('it names too many nodes or addresses')
    return Array.from({ length: count }, read)
  }
  #address(): string {
    const kind = this.byte()
    if (kind === IP4_TCP) return `/ip4/${this.bytes(4).join('.')}/tcp/${this.bytes(2).readUInt16BE()}`
    if (kind === IP6_TCP) return `/ip6/${textOfIp6(this.bytes(16))}/tcp/${this.bytes(2).readUInt16BE()}`
    if (kind !== TEXT) throw this.#fail('it has an address of a kind that this release does not know')
    const length = this.byte()
    const text = this.bytes(length).toString('latin1')
    if (length > MAX_ADDRESS_BYTES || !isAddressText(text)) throw this.#fail('it has an address that is none')
    return text
  }
}

const TEXT = 0
const IP4_TCP = 1
const IP6_TCP = 2

/** Compact where it reads back as the very same text. */
function encodeAddress(address: string): Buffer {
  const [, kind, ip = '', port = ''] = /^\/(ip4|ip6)\/([^/]+)\/tcp\/(0|[1-9]\d{0,4})$/.exec(address) ?? []
  if (kind !== undefined && Number(port) <= 0xffff) {
    const portBytes = Buffer.alloc(2)
    portBytes.writeUInt16BE(Number(port))
    if (kind === 'ip4' && isIPv4(ip))
      return Buffer.concat([Buffer.of(IP4_TCP, ...ip.split('.').map(Number)), portBytes])
    const bytes = kind === 'ip6' ? bytesOfIp6(ip) : undefined
    if (bytes !== undefined && textOfIp6(bytes) === ip) return Buffer.concat([Buffer.of(IP6_TCP), bytes, portBytes])
  }
  // One that no reader would take is as good as one that is too long.
  if (!isAddressText(address)) return Buffer.alloc(MAX_ADDRESS_BYTES + 3)
  const text = Buffer.from(address, 'latin1')
  return Buffer.concat([Buffer.of(TEXT, Math.min(text.length, 0xff)), text])
}

/** Written as a multiaddr is; what it means is for the one that dials. */
function isAddressText(text: string): boolean {
  return /^(?:\/[\x21-\x2e\x30-\x7e]+)+$/.test(text)
}

function withoutPeer(address: string, id: string): string {
  return address.endsWith(`/p2p/${id}`) ? address.slice(0, -`/p2p/${id}`.length) : address
}

function bytesOfIp6(ip: string): Buffer | undefined {
  if (!isIPv6(ip) || ip.includes('.') || ip.includes('%')) return undefined
  const [front = '', back] = ip.split('::')
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const [head, tail] = [groups(front), groups(back ?? '')]
  const all = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail]
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

/** As RFC 5952: the longest run of two or more zero groups is `::`. */
function textOfIp6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[index * 2] as number) << 8) | (bytes[index * 2 + 1] as number)).toString(16),
  )
  const text = groups.join(':')
  const runs = [...text.matchAll(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g)]
  const longest = runs.reduce<string>((best, [run]) => (run.length > best.length ? run : best), '')
  if (longest === '') return text
  const [front = '', ...rest] = text.split(new RegExp(`(?<![0-9a-f])${longest}(?![0-9a-f])`))
  const back = rest.join(longest)
  return `${front.replace(/:$/, '')}::${back.replace(/^:/, '')}`
}

function toBase32(bytes: Uint8Array): string {
  let letters = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    bits += 8
    for (; bits >= 5; bits -= 5) letters += ALPHABET[(value >> (bits - 5)) & 31]
    value &= 31
  }
  return bits === 0 ? letters : letters + ALPHABET[(value << (5 - bits)) & 31]
}

function fromBase32(letters: string, fail: Fail): Buffer {
  const bytes: number[] = []
  let bits = 0
  let value = 0
  for (const letter of letters) {
    const digit = ALPHABET.indexOf(letter)
    if (digit < 0) throw fail('there is a letter in it that no code has')
    value = (value << 5) | digit
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes.push(value >> bits)
    value &= (1 << bits) - 1
  }
  // One spelling for each code.
  if (bits >= 5 || value !== 0) throw fail('a letter is wrong, or its end is missing')
  return Buffer.from(bytes)
}

function checksumOf(prefix: string, body: Uint8Array): Buffer {
  return createHash('sha256').update(`warren ${prefix} code v1`).update(body).digest().subarray(0, CHECKSUM_BYTES)
}
