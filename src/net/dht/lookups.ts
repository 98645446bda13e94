import type { QueryEvent } from '@libp2p/kad-dht'
import { checkRecord, selectRecord } from './record.ts'
import type { DhtRecord } from './types.ts'

type Events = AsyncIterable<QueryEvent>

/** How many other nodes have answered a message of this kind. Runs to the end; what fails on the way does not count. */
export async function countAnswers(events: Events, message: 'ADD_PROVIDER' | 'PUT_VALUE'): Promise<number> {
  let count = 0
  for await (const event of events) if (event.name === 'PEER_RESPONSE' && event.messageName === message) count += 1
  return count
}

/** Ids of providers as they are found, each once. */
export async function* providersIn(events: Events): AsyncGenerator<string> {
  const seen = new Set<string>()
  for await (const event of events) {
    if (event.name !== 'PROVIDER') continue
    for (const { id } of event.providers) {
      const peer = id.toString()
      if (seen.has(peer)) continue
      seen.add(peer)
      yield peer
    }
  }
}

/** Ids that the nodes asked have named, each once, in the order in which they were heard. */
export async function membersNamedIn(events: Events): Promise<string[]> {
  const named = new Set<string>()
  for await (const event of events) {
    if (event.name === 'PEER_RESPONSE') for (const { id } of event.closer) named.add(id.toString())
  }
  return [...named]
}

/** Values of a key that the nodes asked have answered: so many, or all until the end or the first failure. */
export async function valuesIn(events: Events, quorum: number): Promise<Uint8Array[]> {
  const values: Uint8Array[] = []
  try {
    for await (const event of events) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'GET_VALUE' && event.record !== undefined) {
        values.push(event.record.value)
        if (values.length >= quorum) break
      }
    }
  } catch {
    // The library gives up all it has found where one node does not take the newer record.
  }
  return values
}

/** The best of what was found that counts; undefined where nothing does. */
export function bestOf(
  key: string,
  values: readonly Uint8Array[],
  rules: Parameters<typeof checkRecord>[2],
): DhtRecord | undefined {
  const valid = values.filter((value) => {
    try {
      checkRecord(key, value, rules)
      return true
    } catch {
      return false
    }
  })
  const best = valid[selectRecord(valid)]
  return best === undefined ? undefined : checkRecord(key, best, rules)
}
