import { createHash } from 'node:crypto'

/** 127.64.0.0/10: far from the addresses that people and programs give out by hand. */
const FIRST = 0x7f_40_00_00
const COUNT = 2 ** 22

/**
 * Gives each key a loopback address of its own: always the same, unless another key has had it before, and then the next
 * that is free.
 */
export class LoopbackAddresses {
  readonly #byKey = new Map<string, string>()
  readonly #taken = new Set<string>()

  of(key: string): string {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    let offset = createHash('sha256').update(key).digest().readUInt32BE() % COUNT
    while (this.#taken.has(textOf(offset))) offset = (offset + 1) % COUNT
    const address = textOf(offset)
    this.#byKey.set(key, address)
    this.#taken.add(address)
    return address
  }
}

function textOf(offset: number): string {
  const address = FIRST + offset
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
}
