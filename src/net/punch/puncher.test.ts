import { once } from 'node:events'
import { connect, createServer, Socket } from 'node:net'
import { expect, test } from 'vitest'
import { sendMessage } from '../frames.ts'
import { identityOf, type PunchNode, startPunchNode } from './fixtures/punch-node.ts'
import { type Candidates, decodeMessage, Talk } from './messages.ts'

/** Two nodes on loopback, connected as over a relay. */
async function withPair(
  work: (a: PunchNode, b: PunchNode) => Promise<void>,
  inits: Parameters<typeof startPunchNode>[1][] = [],
) {
  const [a, b] = [await startPunchNode('a', inits[0]), await startPunchNode('b', inits[1])]
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1')
  try {
    await Promise.all([
      a.relayed(socket, 'outbound', b.id),
      accepted.then(([other]) => b.relayed(other, 'inbound', a.id)),
    ])
    await work(a, b)
  } finally {
    await Promise.all([a.stop(), b.stop()])
    socket.destroy()
    server.close()
  }
}

const sockets = (): number =>
  process.getActiveResourcesInfo().filter((name) => /TCP|UDP|ProcessWrap|PipeWrap/.test(name)).length

test('two nodes that reach each other get a proven direct connection, and nothing else stays open', async () => {
  await withPair(async (a, b) => {
    const before = sockets()
    const outcome = await a.puncher.punch(b.id)
    expect(outcome).toMatchObject({ ok: true })
    if (!outcome.ok) return
    expect(outcome.connection?.remotePeer.toString()).toBe(b.id)
    expect(outcome.connection?.direction).toBe('outbound')
    expect(outcome.connection?.remoteAddr.toString()).not.toContain('p2p-circuit')
    // Its two ends, both in this process.
    await expect.poll(sockets).toBe(before + 2)
    expect(a.counters.get('net_punch', { side: 'first', outcome: outcome.how })).toBe(1)
    await expect.poll(() => b.counters.get('net_punch', { side: 'second', outcome: outcome.how })).toBe(1)
  })
})

test('both sides at once make one attempt, that of the lower id, and both hear what came of it', async () => {
  await withPair(async (a, b) => {
    const [one, other] = await Promise.all([a.puncher.punch(b.id), b.puncher.punch(a.id)])
    expect([one.ok, other.ok]).toEqual([true, true])
    const [lower, higher] = a.id < b.id ? [a, b] : [b, a]
    const counted = (node: PunchNode, side: string): number =>
      node.counters.entries().filter(([key]) => key.startsWith('net_punch{') && key.includes(`side="${side}"`)).length
    expect(counted(lower, 'first')).toBe(1)
    await expect.poll(() => counted(higher, 'second')).toBe(1)
    expect(lower.counters.get('net_punch_declined', { reason: 'folded' })).toBeLessThanOrEqual(1)
  })
})

test('calls for one peer share an attempt, and one that is given up leaves it to the others', async () => {
  await withPair(async (a, b) => {
    const gone = new AbortController()
    const [first, second] = [a.puncher.punch(b.id, { signal: gone.signal }), a.puncher.punch(b.id)]
    gone.abort(new Error('enough'))
    await expect(first).rejects.toThrow('enough')
    expect((await second).ok).toBe(true)
    await expect.poll(() => b.counters.entries().filter(([key]) => key.includes('side="second"')).length).toBe(1)
  })
})

test('a channel over which nobody proves himself is no connection, and the reason is told', async () => {
  const upgrader = {
    upgrade: async (channel: { destroy(): unknown }) => {
      channel.destroy()
      throw new Error('no proof')
    },
  }
  await withPair(
    async (a, b) => {
      const outcome = await a.puncher.punch(b.id)
      expect(outcome).toMatchObject({ ok: false, permanent: false })
      if (!outcome.ok) expect(outcome.reason).toMatch(/STUN|TCP/)
    },
    [{ upgrader: upgrader as never }],
  )
})

test('a peer that cannot be asked is a failure with a reason, never a rejection', async () => {
  const a = await startPunchNode('a')
  try {
    const { id } = await identityOf('nobody')
    expect(await a.puncher.punch(id)).toMatchObject({ ok: false, reason: expect.stringContaining('no connection') })
  } finally {
    await a.stop()
  }
})

test('stopping in the middle ends the attempt and leaves nothing open', async () => {
  await withPair(async (a, b) => {
    const before = sockets()
    const punching = a.puncher.punch(b.id)
    await new Promise((resolve) => setTimeout(resolve, 5))
    a.puncher.stop()
    b.puncher.stop()
    expect(await punching).toMatchObject({ ok: false, reason: expect.stringContaining('stops') })
    await expect.poll(sockets).toBeLessThanOrEqual(before)
  })
})

test('many ports are tried only of an address at which a relay has seen the peer', async () => {
  const [seen, foreign] = ['198.51.100.9', '203.0.113.5'] as const
  const answers: (boolean | undefined)[] = []
  const stun = {
    bindingTcp: async () => ({
      mapped: { host: '198.51.100.7', port: 7 },
      local: { host: '127.0.0.1', port: 7 },
      other: undefined,
      socket: new Socket(),
    }),
    bindingUdp: async () => ({ host: '198.51.100.7', port: 7, other: undefined, origin: undefined }),
  }
  const stunServers = () => [{ id: 'relay', host: '127.0.0.1', port: 9, alternatePort: 10 }]
  const wasSeenAt = (_peer: string, host: string) => host === seen
  await withPair(
    async (a, b) => {
      for (const [tcpHost, udpHost] of [
        [seen, seen],
        [foreign, foreign],
        [seen, foreign],
      ] as const) {
        const stream = await a.opener.openOn(b.id, '/warren/punch/1', {})
        const talk = new Talk(stream)
        await talk.say({ type: 'begin', nonce: '0'.repeat(32) })
        const candidates: Candidates = {
          tcp: { mapping: 'depends', own: [], listening: [], dialling: [{ host: tcpHost, port: 5 }] },
          udp: { mapping: 'depends', addresses: [{ host: udpHost, port: 5 }], channel: true },
          birthday: true,
        }
        await talk.say({ type: 'offer', candidates })
        const { signal } = new AbortController()
        await talk.hear(['ready'], signal)
        answers.push((await talk.hear(['answer'], signal)).candidates.birthday)
        stream.destroy()
        const served = () => b.counters.entries().filter(([key]) => key.startsWith('net_punch{')).length
        await expect.poll(served).toBe(1)
        await expect.poll(() => b.counters.get('net_punch', { side: 'second', outcome: 'failed' })).toBe(answers.length)
      }
    },
    [{}, { stun, stunServers, wasSeenAt } as never],
  )
  expect(answers).toEqual([true, false, false])
})

test('a peer that asks again and again is declined', async () => {
  await withPair(async (a, b) => {
    const answers: string[] = []
    for (let n = 0; n < 6; n++) {
      const stream = await a.opener.openOn(b.id, '/warren/punch/1', {})
      await sendMessage(stream, { type: 'begin', nonce: '0'.repeat(32) })
      const [bytes] = (await once(stream, 'data')) as [Buffer]
      const said = decodeMessage(bytes.subarray(4))
      answers.push(said.type === 'refused' ? said.reason : said.type)
      stream.destroy()
      await expect
        .poll(
          () =>
            b.counters.entries().filter(([key]) => key.includes('side="second"')).length +
            answers.filter((each) => each !== 'ready').length,
        )
        .toBeGreaterThan(0)
    }
    expect(answers[0]).toBe('ready')
    expect(answers).toContain('limited')
    expect(b.counters.get('net_punch_declined', { reason: 'limited' })).toBeGreaterThan(0)
  })
})
