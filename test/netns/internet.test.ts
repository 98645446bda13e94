import { execFileSync, spawnSync } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Internet, makeInternet } from './internet.ts'
import { whyNoDelay, whyNoNamespaces } from './lan.ts'
import { type Probe, startProbe } from './probe.ts'
import { NAT_KINDS, type NatKind } from './rules.ts'

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: the kinds of NAT (${reason})\n`)

/** The ports of the public hosts: two for UDP, one for TCP. */
const [FIRST, SECOND, TCP] = [7000, 7001, 7100]
const NAMES: Readonly<Record<NatKind, string>> = {
  none: 'open',
  'EIM/EIF': 'full',
  'EIM/APDF': 'home',
  'APDM/APDF': 'hard',
}

let internet: Internet
const probes = new Map<string, Probe>()
const probe = (name: string): Probe => probes.get(name) as Probe
/** A connection that comes about at all here does so in a few milliseconds, or after a second, when TCP asks again. */
const DIAL_MS = 2500
/** Each test takes ports that no other has used. */
let lastPort = 5000
let greetings = 0

beforeAll(async () => {
  if (reason !== undefined) return
  const kinds = Object.entries(NAMES) as [NatKind, string][]
  internet = makeInternet({
    routers: {
      ...Object.fromEntries(kinds.map(([nat, name]) => [`of-${name}`, { nat }])),
      'of-away': { nat: 'EIM/APDF' },
      spare: { nat: 'EIM/APDF' },
    },
    hosts: {
      sun: {},
      moon: {},
      away: { behind: 'of-away' },
      ...Object.fromEntries(kinds.map(([, name]) => [name, { behind: `of-${name}` }])),
    },
  })
  for (const name of ['sun', 'moon', 'away', ...Object.values(NAMES)])
    probes.set(name, startProbe(internet.namespaceOf(name)))
  for (const name of ['sun', 'moon']) {
    for (const port of [FIRST, SECOND]) await openUdp(name, port)
    await listen(name, TCP)
  }
})
afterAll(async () => {
  await Promise.all([...probes.values()].map((one) => one.stop()))
  if (reason === undefined) internet.remove()
})

async function openUdp(name: string, port: number): Promise<void> {
  probe(name).order({ do: 'udp', port })
  expect(await probe(name).told({ ready: 'udp', port })).toBeDefined()
}

async function listen(name: string, port: number): Promise<void> {
  probe(name).order({ do: 'listen', port })
  expect(await probe(name).told({ ready: 'tcp', port })).toBeDefined()
}

type Port = readonly [host: string, port: number]

function send([name, port]: Port, to: readonly [string, number], text: string): void {
  probe(name).order({ do: 'send', port, to, text })
}

/** As whom a public host sees a datagram from a port. */
async function seenAs(from: Port, by: Port): Promise<string> {
  const text = `hello ${++greetings} from ${from.join(':')}`
  send(from, [internet.addressOf(by[0]), by[1]], text)
  const told = await probe(by[0]).told({ got: text, port: by[1] })
  expect(told, `${from.join(':')} reaches ${by.join(':')}`).toBeDefined()
  return String(told?.from)
}

const addressAndPort = (text: string): [string, number] => {
  const [address = '', port = ''] = text.split(':')
  return [address, Number(port)]
}

/**
 * Whether a datagram of a public host comes in. What comes after it by the way that is open (sun's first port) says that
 * it would have been here.
 */
async function comesIn(from: Port, to: Port, outer: [string, number]): Promise<boolean> {
  const text = `from ${from.join(':')} to ${to.join(':')}`
  send(from, outer, text)
  const sent = `sent ${text}`
  send(from, [internet.addressOf('sun'), FIRST], sent)
  expect(await probe('sun').told({ got: sent })).toBeDefined()
  const after = `after ${text}`
  send(['sun', FIRST], outer, after)
  expect(await probe(to[0]).told({ got: after })).toBeDefined()
  return (await probe(to[0]).told({ got: text }, 0)) !== undefined
}

/** As whom an own port is seen by a server that it dials ('' by one that says nothing); undefined where nobody answers. */
async function dial(from: Port, to: readonly [string, number]): Promise<string | undefined> {
  probe(from[0]).order({ do: 'dial', port: from[1], to, timeoutMs: DIAL_MS })
  const told = await probe(from[0]).told({ dialled: to.join(':'), port: from[1] }, 2 * DIAL_MS)
  return told?.result === 'connected' ? String(told.seenAs) : undefined
}

const interfaceOf = (host: string): string =>
  execFileSync('ip', ['-n', internet.namespaceOf(host), '-br', 'link', 'show', 'dev', 'eth0'], { encoding: 'utf8' })

for (const kind of NAT_KINDS) {
  const host = NAMES[kind]

  test.skipIf(reason !== undefined)(`${kind}: UDP is mapped and filtered as named`, async () => {
    const from: Port = [host, ++lastPort]
    await openUdp(...from)
    const own = `${internet.addressOf(host)}:${from[1]}`
    const first = await seenAs(from, ['sun', FIRST])
    const inside = {
      port: await comesIn(['sun', SECOND], from, addressAndPort(first)),
      address: await comesIn(['moon', FIRST], from, addressAndPort(first)),
    }
    const open = kind === 'none' || kind === 'EIM/EIF'
    expect(inside).toEqual({ port: open, address: open })
    const mapped = [first, await seenAs(from, ['sun', SECOND]), await seenAs(from, ['moon', FIRST])]
    expect(new Set(mapped).size).toBe(kind === 'APDM/APDF' ? 3 : 1)
    expect(mapped.includes(own)).toBe(kind === 'none')
    expect(addressAndPort(first)[0]).toBe(internet.outerAddressOf(host))
  })

  test.skipIf(reason !== undefined)(`${kind}: TCP is mapped and filtered as named`, async () => {
    const port = ++lastPort
    const first = await dial([host, port], [internet.addressOf('sun'), TCP])
    const mapped = [first, await dial([host, port], [internet.addressOf('moon'), TCP])]
    expect(new Set(mapped).size).toBe(kind === 'APDM/APDF' ? 2 : 1)
    expect(mapped[0] === `${internet.addressOf(host)}:${port}`).toBe(kind === 'none')
    await listen(host, port)
    const met = await dial(['moon', ++lastPort], addressAndPort(first ?? ''))
    expect(met !== undefined).toBe(kind === 'none' || kind === 'EIM/EIF')
  })

  test.skipIf(reason !== undefined)(
    `${kind}: a port that sent nothing is reached only where there is no NAT`,
    async () => {
      const [silent, busy]: Port[] = [
        [host, ++lastPort],
        [host, ++lastPort],
      ]
      await openUdp(...(silent as Port))
      await openUdp(...(busy as Port))
      await seenAs(busy as Port, ['sun', FIRST])
      const text = `to ${silent?.join(':')}`
      send(['sun', FIRST], [internet.outerAddressOf(host), silent?.[1] as number], text)
      const answer = await seenAs(busy as Port, ['sun', SECOND])
      send(['sun', SECOND], addressAndPort(answer), 'and this comes after it')
      expect(await probe(host).told({ got: 'and this comes after it' })).toBeDefined()
      expect((await probe(host).told({ got: text }, 0)) !== undefined).toBe(kind === 'none')
    },
  )
}

test.skipIf(reason !== undefined)('two hosts that dial each other at once meet through their NATs', async () => {
  const port = ++lastPort
  const [here, there] = ['home', 'away'].map((name) => [internet.outerAddressOf(name), port] as const)
  const before = internet.bytesLetIn({ from: 'home', to: 'away', protocol: 'tcp' })
  const [out, back] = await Promise.all([
    dial(['home', port], there as [string, number]),
    dial(['away', port], here as [string, number]),
  ])
  expect([out, back]).toEqual(['', ''])
  expect(internet.bytesLetIn({ from: 'home', to: 'away', protocol: 'tcp' })).toBeGreaterThan(before)
  expect(internet.bytesLetIn({ from: 'home', to: 'away', protocol: 'udp' })).toBe(0)
})

test.skipIf(reason !== undefined)(
  'a link that is cut at the router stays up for the host, and carries nothing',
  async () => {
    const from: Port = ['away', ++lastPort]
    await openUdp(...from)
    await seenAs(from, ['sun', FIRST])
    internet.cut('away', 'router')
    send(from, [internet.addressOf('sun'), FIRST], 'into the cut')
    expect(interfaceOf('away')).toContain('UP')
    internet.restore('away')
    await seenAs(from, ['sun', SECOND])
    expect(await probe('sun').told({ got: 'into the cut' }, 0)).toBeUndefined()
    internet.cut('away', 'host')
    expect(interfaceOf('away')).toContain('DOWN')
    internet.restore('away')
    await seenAs(from, ['moon', FIRST])
  },
)

test.skipIf(reason !== undefined)('a NAT that was rebooted knows no mapping, and gives other ports', async () => {
  const from: Port = ['away', ++lastPort]
  await openUdp(...from)
  const before = await seenAs(from, ['sun', FIRST])
  internet.reboot('of-away')
  expect(interfaceOf('away')).toContain('UP')
  const text = 'to a mapping that is gone'
  send(['sun', FIRST], addressAndPort(before), text)
  const after = await seenAs(from, ['moon', FIRST])
  expect(after).not.toBe(before)
  expect(await seenAs(from, ['sun', FIRST])).toBe(after)
  expect(await comesIn(['sun', SECOND], from, addressAndPort(after))).toBe(false)
  expect(await probe('away').told({ got: text }, 0)).toBeUndefined()
  expect(addressAndPort(after)[0]).toBe(addressAndPort(before)[0])
  internet.reboot('of-away', { address: 'new' })
  expect(addressAndPort(await seenAs(from, ['sun', SECOND]))[0]).not.toBe(addressAndPort(before)[0])
})

test.skipIf(reason !== undefined)('a host that moves has the address of its new place', async () => {
  const from: Port = ['away', ++lastPort]
  await openUdp(...from)
  internet.move('away', 'spare')
  expect(addressAndPort(await seenAs(from, ['sun', FIRST]))[0]).toBe(internet.outerAddressOf('away'))
  internet.move('away', undefined)
  expect(await seenAs(from, ['sun', SECOND])).toBe(`${internet.addressOf('away')}:${from[1]}`)
})

test.skipIf(reason !== undefined)('a link that loses half loses some and not all', async () => {
  const from: Port = ['home', ++lastPort]
  await openUdp(...from)
  await seenAs(from, ['moon', FIRST])
  internet.lose('of-home', 0.5)
  for (let index = 0; index < 100; index++) send(from, [internet.addressOf('sun'), FIRST], `lossy ${index}`)
  // Its own order is read after them, so they are on their way when it is ready.
  await openUdp('home', ++lastPort)
  internet.lose('of-home', 0)
  await seenAs(from, ['sun', FIRST])
  const got = await Promise.all(
    Array.from({ length: 100 }, (_, index) => probe('sun').told({ got: `lossy ${index}` }, 0)),
  )
  const arrived = got.filter((told) => told !== undefined).length
  expect(arrived).toBeGreaterThan(0)
  expect(arrived).toBeLessThan(100)
})

test.skipIf(reason !== undefined)('what a killed process left behind is removed by the next one', () => {
  const program = `
    import { makeInternet } from ${JSON.stringify(new URL('./internet.ts', import.meta.url).href)}
    makeInternet({ hosts: { a: {} } })
    process.kill(process.pid, 'SIGKILL')`
  const { pid } = spawnSync(process.execPath, ['--input-type=module', '-e', program])
  const left = (): string => execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })
  expect(left()).toContain(`wi-${pid}-`)
  makeInternet({ hosts: {} }).remove()
  expect(left()).not.toContain(`wi-${pid}-`)
})

const noDelay = reason ?? whyNoDelay()
test.skipIf(noDelay !== undefined)(
  `a link with a delay brings everything later, and whole${noDelay === undefined ? '' : ` (skipped: ${noDelay})`}`,
  async () => {
    const delayMs = 50
    const far = makeInternet({
      routers: { home: { nat: 'EIM/APDF', delayMs } },
      hosts: { sun: { delayMs }, a: { behind: 'home' } },
    })
    const [a, sun] = ['a', 'sun'].map((host) => startProbe(far.namespaceOf(host))) as [Probe, Probe]
    try {
      sun.order({ do: 'listen', port: TCP })
      await sun.told({ ready: 'tcp', port: TCP })
      const call = async (id: number): Promise<number> => {
        const began = performance.now()
        a.order({ do: 'call', id, to: [far.addressOf('sun'), TCP], timeoutMs: DIAL_MS })
        expect(await a.told({ called: id }, 2 * DIAL_MS)).toMatchObject({ answered: 1 })
        return performance.now() - began
      }
      // Two links each way: a round trip for the connection, and one for the answer.
      expect(await call(1)).toBeGreaterThan(2 * 4 * delayMs - 1)
      far.reboot('home', { address: 'new' })
      expect(await call(2)).toBeGreaterThan(2 * 4 * delayMs - 1)
      expect(far.bytesLetIn({ from: 'sun', to: 'a' })).toBeGreaterThan(0)
    } finally {
      await Promise.all([a, sun].map((one) => one.stop()))
      far.remove()
    }
  },
)
