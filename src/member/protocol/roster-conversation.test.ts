import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import type { MergeResult, Roster } from '../../identity/index.ts'
import { type Stream, sendMessage } from '../../net/index.ts'
import { converse } from './roster-conversation.ts'

/** Two ends of a stream. */
function streamPair(): [Stream, Duplex] {
  const make = (other: () => Duplex): Duplex =>
    new Duplex({
      read() {},
      write(data, _encoding, done) {
        other().push(data)
        done()
      },
      final(done) {
        other().push(null)
        done()
      },
    })
  const near: Duplex = make(() => far)
  const far: Duplex = make(() => near)
  near.on('error', () => undefined)
  far.on('error', () => undefined).resume()
  return [Object.assign(near, { peer: 'mallory', protocol: '/warren/roster/1' }), far]
}

/** A roster that refuses everything for one reason, and counts what it was given. */
function refusing(reason: MergeResult['rejected'][number]['reason']) {
  const given: number[] = []
  const roster: Pick<Roster, 'heads' | 'entriesAfter' | 'merge'> = {
    heads: () => [],
    entriesAfter: () => [],
    merge: async (statements) => {
      given.push([...statements].length)
      return { added: [], rejected: [{ reason, message: 'refused' }], waiting: 0 }
    },
  }
  return { roster: roster as Roster, given }
}

async function tell(far: Duplex): Promise<void> {
  await sendMessage(far, { type: 'heads', heads: [] })
  for (let count = 0; count < 3; count++) await sendMessage(far, { type: 'statements', statements: ['AAAA'] })
  await sendMessage(far, { type: 'end' })
}

test('a peer that passes on a statement which its author has not signed is not listened to any further', async () => {
  const [near, far] = streamPair()
  const { roster, given } = refusing('bad_signature')
  const results: MergeResult[] = []
  const talk = converse(near, roster, (result) => results.push(result))
  await tell(far)
  await expect(talk).rejects.toMatchObject({ code: 'roster_exchange_invalid' })
  expect(given).toEqual([1])
  expect(results).toHaveLength(1)
})

test('statements that an honest peer may hold and this node does not take do not end the exchange', async () => {
  const [near, far] = streamPair()
  const { roster, given } = refusing('roster_full')
  const talk = converse(near, roster, () => undefined)
  await tell(far)
  await talk
  expect(given).toEqual([1, 1, 1])
})
