/** Direct connections through real NATs: 4 x 4 kinds, two hosts and a relay, each a process in a namespace of its own. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dataChannelLibrary } from '../../src/net/punch/data-channel.ts'
import { type Matrix, type PairOutcome, startMatrix } from '../../src/net/punch/fixtures/matrix.ts'
import { whyNoNamespaces } from './lan.ts'
import { NAT_KINDS, type NatKind } from './rules.ts'

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: punching through NATs (${reason})\n`)

let matrix: Matrix
beforeAll(async () => {
  if (reason === undefined) matrix = await startMatrix()
})
afterAll(async () => {
  await matrix?.stop()
})

/** Over what a connection got through as said: the routers counted what they let in. */
function expectDirect({ letIn, open, ...outcome }: PairOutcome): void {
  expect(outcome).toMatchObject({ direct: true })
  // The listener, and nothing else.
  for (const resources of open) expect(resources).toBe('TCPServerWrap')
  for (const bytes of letIn) expect(bytes).toBeGreaterThan(3_000)
}

const isHard = (from: NatKind, to: NatKind): boolean =>
  (from === 'APDM/APDF' && to.endsWith('APDF')) || (to === 'APDM/APDF' && from.endsWith('APDF'))

test.runIf(reason === undefined)('every pair but two hard NATs gets a direct connection', async () => {
  const rows: string[] = []
  for (const from of NAT_KINDS) {
    const cells: string[] = []
    for (const to of NAT_KINDS) {
      const outcome = await matrix.pair(from, to)
      cells.push((outcome.direct ? `${outcome.how} ${outcome.ms} ms` : 'relayed').padEnd(22))
      if (from === 'APDM/APDF' && to === 'APDM/APDF') {
        expect(outcome).toMatchObject({
          direct: false,
          permanent: true,
          reason: 'both NATs map per destination (APDM)',
        })
      } else if (outcome.direct || !isHard(from, to)) expectDirect(outcome)
      // Birthday probing may miss, three times in 10,000.
      else expect(outcome.reason).toContain('probing for its port')
    }
    rows.push(`${from.padEnd(10)} ${cells.join('')}`)
  }
  process.stdout.write(`${' '.repeat(11)}${NAT_KINDS.map((kind) => kind.padEnd(22)).join('')}\n${rows.join('\n')}\n`)
})

test.runIf(reason === undefined)('lost packets do not keep two ordinary NATs apart', async () => {
  for (const router of ['ra2', 'rb2']) matrix.internet.lose(router, 0.02)
  try {
    expectDirect(await matrix.pair('EIM/APDF', 'EIM/APDF'))
  } finally {
    for (const router of ['ra2', 'rb2']) matrix.internet.lose(router, 0)
  }
})

test.runIf(reason === undefined && dataChannelLibrary() !== undefined)(
  'where no TCP gets out but to the relay, a data channel over UDP does',
  async () => {
    const closed = await startMatrix({ kinds: ['EIM/APDF'], egress: { tcpPorts: [3478, 3479, 3488] } })
    try {
      const outcome = await closed.pair('EIM/APDF', 'EIM/APDF')
      expectDirect(outcome)
      expect(outcome.how).toBe('udp')
    } finally {
      await closed.stop()
    }
  },
)
