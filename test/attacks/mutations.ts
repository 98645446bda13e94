/** Bytes that nearly are what an honest node says, and bytes that are nothing of the kind. */
import fc from 'fast-check'

const LENGTH_BYTES = 4
const MAX_CHANGES = 4
/** Values that lengths, counts and numbers are replaced by. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x10_0000, 0x10_0001, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]
/** Values that take the place of any part of a JSON message. */
const BAD_VALUES: readonly unknown[] = [
  null,
  true,
  '',
  [],
  {},
  -1,
  0.5,
  2 ** 53,
  1e308,
  '__proto__',
  '../../../etc/passwd',
  '\u0000\u001b[2J\ud800',
  'x'.repeat(70_000),
  Array.from({ length: 5000 }, () => 'x'),
  Array.from({ length: 300 }, () => ({ author: 'root', seq: 1, hash: 'f'.repeat(64) })),
  JSON.parse('['.repeat(500) + ']'.repeat(500)),
  JSON.parse('{"__proto__":{"role":"admin"},"constructor":1,"then":1,"toJSON":1,"length":1e9}'),
]
/** Whole messages that are meant to cost more than they are worth. */
const CRUEL: readonly Buffer[] = [
  framed('['.repeat(1_000_000)),
  framed(`{"a":${'{"a":'.repeat(150_000)}`),
  framed(`"${'\\u0000'.repeat(150_000)}"`),
  framed(`{"type":"heads","heads":[${'{},'.repeat(100_000)}{}]}`),
  framed(`{"type":"statements","statements":["${'A'.repeat(1_000_000)}"]}`),
  framed(Buffer.alloc(1024 * 1024, 0xff)),
  Buffer.alloc(256 * 1024),
  Buffer.from('\xff\xff\xff\xff', 'latin1'),
  Buffer.from(`GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(20_000)}`),
  Buffer.from('POST /v1/app/a/start HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffff\r\n'),
  Buffer.from('GET /v1/app HTTP/1.1\r\nhost: x\r\nupgrade: x\r\nconnection: upgrade\r\nexpect: 100-continue\r\n\r\n'),
  Buffer.from('GET /v1/app HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(500)),
]

/** How a case is sent. */
export interface Attack {
  readonly bytes: Buffer
  readonly pieces: readonly number[]
  readonly finish: 'end' | 'reset' | 'hold'
}

/** Cases made of what honest nodes have said; the same ones for the same seed. */
export function attacksOn(samples: readonly Buffer[], { seed, count }: { seed: number; count: number }): Attack[] {
  const attack = fc.record({
    bytes: attackBytes(samples.length > 0 ? samples : [Buffer.alloc(LENGTH_BYTES)]),
    pieces: fc.oneof(fc.constant([]), fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 12 })),
    finish: fc.constantFrom('end', 'end', 'reset', 'hold'),
  })
  return fc.sample(attack as fc.Arbitrary<Attack>, { seed, numRuns: count })
}

function attackBytes(samples: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const sample = fc.constantFrom(...samples)
  const random = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes))
  const changes = fc.array(change(), { minLength: 1, maxLength: MAX_CHANGES })
  const changed = fc.tuple(sample, changes).map(([bytes, list]) => list.reduce((all, each) => each(all), bytes))
  return fc.oneof(
    { weight: 6, arbitrary: changed },
    { weight: 8, arbitrary: fc.tuple(sample, changes, fc.nat()).map(changedFrame) },
    { weight: 8, arbitrary: fc.tuple(sample, fc.nat(), fc.nat(), fc.nat()).map(changedJson) },
    { weight: 2, arbitrary: fc.tuple(sample, sample).map((both) => Buffer.concat(both)) },
    { weight: 1, arbitrary: random },
    { weight: 1, arbitrary: random.map(framed) },
    { weight: 1, arbitrary: fc.constantFrom(...CRUEL) },
  )
}

type Change = (bytes: Buffer) => Buffer

/** Flips, sets, inserts, drops, cuts off, doubles. Places are taken as a part of the whole, whatever its length. */
function change(): fc.Arbitrary<Change> {
  const at = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
  const place = (bytes: Buffer, part: number): number => Math.floor(part * bytes.length)
  const range = (bytes: Buffer, from: number, length: number): [number, number] => {
    const start = place(bytes, from)
    return [start, Math.min(bytes.length, start + length)]
  }
  const length = fc.integer({ min: 1, max: 64 })
  return fc.oneof(
    fc.tuple(at, fc.nat(7)).map(([where, bit]) => (bytes: Buffer) => {
      const copy = Buffer.from(bytes)
      if (copy.length > 0) copy[place(copy, where)] = (copy[place(copy, where)] as number) ^ (1 << bit)
      return copy
    }),
    fc.tuple(at, fc.constantFrom(...EDGES)).map(([where, value]) => (bytes: Buffer) => {
      const copy = Buffer.from(bytes)
      const start = Math.min(place(copy, where), copy.length - LENGTH_BYTES)
      if (start >= 0) copy.writeUInt32BE(value, start)
      return copy
    }),
    fc.tuple(at, fc.uint8Array({ minLength: 1, maxLength: 64 })).map(([where, more]) => (bytes: Buffer) => {
      const start = place(bytes, where)
      return Buffer.concat([bytes.subarray(0, start), more, bytes.subarray(start)])
    }),
    fc.tuple(at, length).map(([where, size]) => (bytes: Buffer) => {
      const [start, end] = range(bytes, where, size)
      return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)])
    }),
    at.map((where) => (bytes: Buffer) => bytes.subarray(0, place(bytes, where))),
    fc.tuple(at, length).map(([where, size]) => (bytes: Buffer) => {
      const [start, end] = range(bytes, where, size)
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(start)])
    }),
  )
}

/** One message of a conversation with changes in its body, and a length that is right again. */
function changedFrame([bytes, changes, pick]: [Buffer, Change[], number]): Buffer {
  const frames = framesOf(bytes)
  if (frames.length === 0) return framed(changes.reduce((all, each) => each(all), bytes))
  const chosen = pick % frames.length
  return Buffer.concat(
    frames.map((body, index) => framed(index === chosen ? changes.reduce((all, each) => each(all), body) : body)),
  )
}

/** One message of JSON in which one value is another one; where there is no JSON, a part of the bytes is. */
function changedJson([bytes, pick, where, what]: [Buffer, number, number, number]): Buffer {
  const frames = framesOf(bytes)
  const chosen = frames.length === 0 ? 0 : pick % frames.length
  const body = frames[chosen] ?? bytes
  const value = BAD_VALUES[what % BAD_VALUES.length]
  let changed: Buffer
  try {
    changed = Buffer.from(JSON.stringify(replaceIn(JSON.parse(body.toString('utf8')), where, value)))
  } catch {
    const start = where % (body.length + 1)
    changed = Buffer.concat([body.subarray(0, start), Buffer.from(String(value)), body.subarray(start)])
  }
  if (frames.length === 0) return changed
  return Buffer.concat(frames.map((each, index) => framed(index === chosen ? changed : each)))
}

/** A copy of the value with one part of it, counted through, replaced. */
function replaceIn(value: unknown, where: number, by: unknown): unknown {
  let left = where % countOf(value)
  const walk = (part: unknown): unknown => {
    if (left-- === 0) return by
    if (Array.isArray(part)) return part.map(walk)
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, walk(inner)]))
  }
  return walk(value)
}

function countOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce((sum: number, part) => sum + countOf(part), 1)
}

/** The bodies of messages with their length before them; none where the bytes are not such messages. */
function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = []
  let at = 0
  while (at + LENGTH_BYTES <= bytes.length) {
    const size = bytes.readUInt32BE(at)
    if (at + LENGTH_BYTES + size > bytes.length) return []
    frames.push(bytes.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + size))
    at += LENGTH_BYTES + size
  }
  return at === bytes.length ? frames : []
}

/** A body with its length before it. */
export function framed(body: Uint8Array | string): Buffer {
  const bytes = Buffer.from(body as string)
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
