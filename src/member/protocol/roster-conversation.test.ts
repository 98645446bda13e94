import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import type { MergeResult } from '../../identity/index.ts'
import { readMessages, type Stream, sendMessage } from '../../net/index.ts'
import { type ComparedRoster, converse, type Heard } from './roster-conversation.ts'

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
  far.on('error', () => undefined)
  return [Object.assign(near, { peer: 'mallory', protocol: '/warren/roster/1' }), far]
}

/** A roster that refuses everything for one reason, and counts what it was given. */
function refusing(reason: MergeResult['rejected'][number]['reason']) {
  const given: number[] = []
  const headsGiven: string[] = []
  const roster: ComparedRoster = {
    heads: () => [],
    entriesAfter: () => [],
    merge: async (statements) => {
      given.push([...statements].length)
      return { added: [], rejected: [{ reason, message: 'refused' }], waiting: 0 }
    },
    signedHeads: {
      list: () => [],
      take: async (heads) => {
        headsGiven.push(...[...heads].map(String))
        return { added: [], rejected: [] }
      },
    },
  }
  return { roster, given, headsGiven }
}

const hearing = (onMerged: Heard['merged'] = () => undefined): Heard => ({ merged: onMerged, heads: () => undefined })

async function tell(far: Duplex): Promise<void> {
  await sendMessage(far, { type: 'heads', heads: [] })
  for (let count = 0; count < 3; count++) await sendMessage(far, { type: 'statements', statements: ['AAAA'] })
  await sendMessage(far, { type: 'end' })
}

test('a peer that passes on a statement which its author has not signed is not listened to any further', async () => {
  const [near, far] = streamPair()
  const { roster, given } = refusing('bad_signature')
  const results: MergeResult[] = []
  const talk = converse(
    near,
    roster,
    hearing((result) => void results.push(result)),
  )
  far.resume()
  await tell(far)
  await expect(talk).rejects.toMatchObject({ code: 'roster_exchange_invalid' })
  expect(given).toEqual([1])
  expect(results).toHaveLength(1)
})

test('statements that an honest peer may hold and this node does not take do not end the exchange', async () => {
  const [near, far] = streamPair()
  const { roster, given } = refusing('roster_full')
  const talk = converse(near, roster, hearing())
  far.resume()
  await tell(far)
  await talk
  expect(given).toEqual([1, 1, 1])
})

test('messages of a type that is not known are skipped, and signed heads are taken', async () => {
  const [near, far] = streamPair()
  const { roster, given, headsGiven } = refusing('roster_full')
  const talk = converse(near, roster, hearing())
  far.resume()
  await sendMessage(far, { type: 'heads', heads: [] })
  await sendMessage(far, { type: 'of-a-newer-release', statements: 7 })
  await sendMessage(far, { type: 'signed-heads', heads: [Buffer.from('a head').toString('base64')] })
  await sendMessage(far, { type: 'end' })
  await talk
  expect(given).toEqual([])
  expect(headsGiven).toEqual(['a head'])
})

test('the signed heads that are held are said after the statements, before the end', async () => {
  const [near, far] = streamPair()
  const { roster } = refusing('roster_full')
  const envelope = { payloadType: 'x', payload: Buffer.from('1'), signatures: [] }
  const head = { author: 'alpha', timeMs: 1, digest: '', heads: [], envelope }
  const talk = converse(near, { ...roster, signedHeads: { ...roster.signedHeads, list: () => [head] } }, hearing())
  await sendMessage(far, { type: 'heads', heads: [] })
  await sendMessage(far, { type: 'end' })
  const said: string[] = []
  for await (const bytes of readMessages(far)) said.push(JSON.parse(String(bytes)).type)
  await talk
  expect(said).toEqual(['heads', 'signed-heads', 'end'])
})
