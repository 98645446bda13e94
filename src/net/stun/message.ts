/** The bytes of STUN messages (RFC 8489), as far as Binding and the behaviour tests of RFC 5780 need them. */
import { isIPv4, isIPv6 } from 'node:net'
import { crc32 } from 'node:zlib'
import { ipv6Groups, plainHost } from '../../base/ip-scope.ts'

/** A host by its IP address, and a port. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** A STUN message of the method Binding. */
export interface StunMessage {
  readonly kind: 'request' | 'indication' | 'success' | 'error'
  /** 12 bytes that tie an answer to its request. */
  readonly transaction: Uint8Array
  /** XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of a server that knows no other: where the request came from. */
  readonly mapped?: Endpoint | undefined
  /** RESPONSE-ORIGIN: from where the answer was sent. */
  readonly origin?: Endpoint | undefined
  /** OTHER-ADDRESS: the server's other port, at its other address where it has one. */
  readonly other?: Endpoint | undefined
  /** CHANGE-REQUEST: answer from the other address, the other port, or both. */
  readonly change?: { readonly host: boolean; readonly port: boolean } | undefined
  readonly error?: { readonly code: number; readonly reason: string } | undefined
  /** UNKNOWN-ATTRIBUTES of an error. */
  readonly unknownAttributes?: readonly number[] | undefined
}

/** What `decodeStun` gives. */
export interface DecodedStun extends StunMessage {
  /** Attributes that must be understood (RFC 8489, 14) and are not; a request with any gets error 420. */
  readonly notUnderstood: readonly number[]
}

export const STUN_HEADER_BYTES = 20
/** No message that is understood here is longer: three IPv6 addresses, an error with its reason, a fingerprint. */
export const MAX_STUN_BYTES = 548
export const TRANSACTION_BYTES = 12

const MAGIC_COOKIE = 0x2112a442
const FINGERPRINT_XOR = 0x5354554e
/** The method is Binding, so the type says the class alone (RFC 8489, 5). */
const TYPES = { request: 0x0001, indication: 0x0011, success: 0x0101, error: 0x0111 } as const
const MAX_ATTRIBUTES = 32
const MAX_REASON_BYTES = 200

const ATTRIBUTE = {
  mappedAddress: 0x0001,
  changeRequest: 0x0003,
  errorCode: 0x0009,
  unknownAttributes: 0x000a,
  xorMappedAddress: 0x0020,
  fingerprint: 0x8028,
  responseOrigin: 0x802b,
  otherAddress: 0x802c,
} as const
/** Attributes from here on may be ignored by who does not know them. */
const FIRST_OPTIONAL_ATTRIBUTE = 0x8000

/** The bytes of a message, without a fingerprint: where STUN shares a port here, its first byte and cookie tell it. */
export function encodeStun(message: StunMessage): Buffer {
  const parts: Buffer[] = []
  const add = (type: number, value: Buffer): void => {
    const head = Buffer.alloc(4)
    head.writeUInt16BE(type)
    head.writeUInt16BE(value.length, 2)
    parts.push(head, value, Buffer.alloc(-value.length & 3))
  }
  if (message.mapped !== undefined) {
    add(ATTRIBUTE.xorMappedAddress, xorAddress(encodeAddress(message.mapped), message.transaction))
  }
  if (message.change !== undefined) {
    add(ATTRIBUTE.changeRequest, Buffer.from([0, 0, 0, (message.change.host ? 4 : 0) | (message.change.port ? 2 : 0)]))
  }
  if (message.error !== undefined) add(ATTRIBUTE.errorCode, encodeError(message.error))
  if (message.unknownAttributes !== undefined) {
    const value = Buffer.alloc(message.unknownAttributes.length * 2)
    message.unknownAttributes.forEach((type, index) => void value.writeUInt16BE(type, index * 2))
    add(ATTRIBUTE.unknownAttributes, value)
  }
  if (message.origin !== undefined) add(ATTRIBUTE.responseOrigin, encodeAddress(message.origin))
  if (message.other !== undefined) add(ATTRIBUTE.otherAddress, encodeAddress(message.other))
  const body = Buffer.concat(parts)
  const header = Buffer.alloc(STUN_HEADER_BYTES)
  header.writeUInt16BE(TYPES[message.kind])
  header.writeUInt16BE(body.length, 2)
  header.writeUInt32BE(MAGIC_COOKIE, 4)
  header.set(message.transaction, 8)
  return Buffer.concat([header, body])
}

/**
 * How long the message is that begins with these bytes, header and all; undefined where they begin none, `'more'`
 * where fewer than a header are there. What tells messages apart in a stream of bytes (RFC 8489, 6.2.2).
 */
export function stunLength(bytes: Uint8Array): number | 'more' | undefined {
  if (bytes.length < STUN_HEADER_BYTES) return 'more'
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = STUN_HEADER_BYTES + view.readUInt16BE(2)
  const begins = (view[0] as number) < 0x40 && view.readUInt32BE(4) === MAGIC_COOKIE
  return begins && length % 4 === 0 && length <= MAX_STUN_BYTES ? length : undefined
}

/** The message whose bytes these are, no more and no less; undefined where they are anything else. Never throws. */
export function decodeStun(bytes: Uint8Array): DecodedStun | undefined {
  if (bytes.length > MAX_STUN_BYTES || stunLength(bytes) !== bytes.length) return undefined
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const type = view.readUInt16BE(0)
  const kind = (Object.keys(TYPES) as (keyof typeof TYPES)[]).find((name) => TYPES[name] === type)
  const attributes = readAttributes(view)
  if (kind === undefined || attributes === undefined) return undefined
  const transaction = new Uint8Array(view.subarray(8, STUN_HEADER_BYTES))
  const message: { -readonly [K in keyof DecodedStun]: DecodedStun[K] } = { kind, transaction, notUnderstood: [] }
  const notUnderstood: number[] = []
  let plainMapped: Endpoint | undefined
  for (const { type, value } of attributes) {
    if (type === ATTRIBUTE.xorMappedAddress) message.mapped ??= decodeAddress(xorAddress(value, transaction))
    else if (type === ATTRIBUTE.mappedAddress) plainMapped ??= decodeAddress(value)
    else if (type === ATTRIBUTE.responseOrigin) message.origin ??= decodeAddress(value)
    else if (type === ATTRIBUTE.otherAddress) message.other ??= decodeAddress(value)
    else if (type === ATTRIBUTE.changeRequest) message.change ??= decodeChange(value)
    else if (type === ATTRIBUTE.errorCode) message.error ??= decodeError(value)
    else if (type === ATTRIBUTE.unknownAttributes) message.unknownAttributes ??= decodeTypes(value)
    else if (type < FIRST_OPTIONAL_ATTRIBUTE) notUnderstood.push(type)
  }
  if (message.mapped === undefined && plainMapped !== undefined) message.mapped = plainMapped
  message.notUnderstood = [...new Set(notUnderstood)]
  return message
}

/** The attributes of a message; undefined where they do not fill it, are too many, or a fingerprint is wrong or not last. */
function readAttributes(view: Buffer): { type: number; value: Buffer }[] | undefined {
  const attributes: { type: number; value: Buffer }[] = []
  for (let at = STUN_HEADER_BYTES; at < view.length; ) {
    if (view.length - at < 4 || attributes.length === MAX_ATTRIBUTES) return undefined
    const type = view.readUInt16BE(at)
    const length = view.readUInt16BE(at + 2)
    const end = at + 4 + length
    if (end > view.length) return undefined
    const value = view.subarray(at + 4, end)
    if (type === ATTRIBUTE.fingerprint) {
      const isLast = length === 4 && end === view.length
      const sum = (crc32(view.subarray(0, at)) ^ FINGERPRINT_XOR) >>> 0
      return isLast && value.readUInt32BE() === sum ? attributes : undefined
    }
    attributes.push({ type, value })
    at = end + (-length & 3)
  }
  return attributes
}

function encodeAddress({ host, port }: Endpoint): Buffer {
  const address = plainHost(host)
  if (!isIPv4(address) && !isIPv6(address)) throw new Error(`"${host}" is no IP address`)
  const groups = isIPv4(address) ? [] : ipv6Groups(address)
  const ip = isIPv4(address)
    ? Buffer.from(address.split('.').map(Number))
    : Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
  const head = Buffer.from([0, ip.length === 4 ? 1 : 2, port >> 8, port & 0xff])
  return Buffer.concat([head, ip])
}

function decodeAddress(value: Buffer): Endpoint | undefined {
  const size = value[1] === 1 ? 8 : value[1] === 2 ? 20 : 0
  if (size === 0 || value.length !== size) return undefined
  const ip = value.subarray(4)
  const port = value.readUInt16BE(2)
  if (size === 8) return { host: [...ip].join('.'), port }
  const groups = Array.from({ length: 8 }, (_, index) => ip.readUInt16BE(index * 2).toString(16))
  return { host: plainHost(new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)), port }
}

/** Hides the port and address of an attribute, or shows them again; some NATs rewrite every address that they see. */
function xorAddress(value: Buffer, transaction: Uint8Array): Buffer {
  const mask = Buffer.alloc(4 + TRANSACTION_BYTES)
  mask.writeUInt32BE(MAGIC_COOKIE)
  mask.set(transaction, 4)
  return Buffer.from(
    value.map((byte, index) => {
      if (index < 2) return byte
      return byte ^ (mask[index < 4 ? index - 2 : (index - 4) % mask.length] as number)
    }),
  )
}

function decodeChange(value: Buffer): StunMessage['change'] {
  if (value.length !== 4) return undefined
  const flags = value[3] as number
  return { host: (flags & 4) !== 0, port: (flags & 2) !== 0 }
}

function encodeError({ code, reason }: { code: number; reason: string }): Buffer {
  const text = Buffer.from(reason)
  if (text.length > MAX_REASON_BYTES) throw new Error(`a reason of ${text.length} bytes is too long`)
  return Buffer.concat([Buffer.from([0, 0, Math.floor(code / 100), code % 100]), text])
}

function decodeError(value: Buffer): StunMessage['error'] {
  if (value.length < 4 || value.length > 4 + MAX_REASON_BYTES * 4) return undefined
  const code = ((value[2] as number) & 7) * 100 + (value[3] as number)
  return { code, reason: value.subarray(4).toString('utf8').slice(0, MAX_REASON_BYTES) }
}

function decodeTypes(value: Buffer): number[] {
  return Array.from({ length: Math.floor(value.length / 2) }, (_, index) => value.readUInt16BE(index * 2))
}
