/** As much of DER (ITU-T X.690) as a certificate needs. */

/** The first byte of each kind of element that is written or looked for. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  time: 0x18,
  sequence: 0x30,
  version: 0xa0,
  extensions: 0xa3,
} as const

/** One element. */
export interface DerElement {
  readonly tag: number
  readonly body: Buffer
  /** With its tag and length. */
  readonly whole: Buffer
}

/** An element of these parts, one after the other. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body])
  if (body.length < 0x1_00) return Buffer.concat([Buffer.of(tag, 0x81, body.length), body])
  return Buffer.concat([Buffer.of(tag, 0x82, body.length >> 8, body.length & 0xff), body])
}

/** The elements that these bytes are made of, to the last byte; undefined where they are not, or longer than 64 KiB. */
export function derElements(bytes: Buffer): DerElement[] | undefined {
  const found: DerElement[] = []
  let at = 0
  while (at < bytes.length) {
    const tag = bytes[at] as number
    const first = bytes[at + 1] ?? 0x80
    const lengthBytes = first < 0x80 ? 0 : first - 0x80
    const start = at + 2 + lengthBytes
    if ((first >= 0x80 && lengthBytes !== 1 && lengthBytes !== 2) || start > bytes.length) return undefined
    const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes)
    const end = start + length
    if (end > bytes.length) return undefined
    found.push({ tag, body: bytes.subarray(start, end), whole: bytes.subarray(at, end) })
    at = end
  }
  return found
}

/** The elements inside one of this tag; undefined where it is another one, or is not made of elements. */
export function derInside(element: DerElement | undefined, tag: number): DerElement[] | undefined {
  return element?.tag === tag ? derElements(element.body) : undefined
}
