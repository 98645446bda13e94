import { createServer } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { silentLogger } from '../../base/log.ts'
import { localAddresses } from './local-addresses.ts'
import { measureNat } from './measure.ts'
import { createStunServer } from './server.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A server on loopback; without `tcp` nobody listens on its first TCP port. */
async function serve({ tcp = true } = {}) {
  const addresses = () => ['127.0.0.1', '127.0.0.2'].map((host) => ({ host, interface: 'lo' }))
  const counters = new Counters()
  const server = createStunServer({ port: 0, addresses, clock: systemClock, log: silentLogger, counters })
  ends.push(() => server.stop())
  await server.start()
  const { udp, alternateUdp } = server.ports()
  const port = udp as number
  const listener = createServer((socket) => server.answerTcp(socket))
  if (tcp) await new Promise<void>((resolve) => void listener.listen(port, '127.0.0.1', resolve))
  ends.push(() => listener.close())
  return { id: 'relay', host: '127.0.0.1', port, alternatePort: alternateUdp }
}

test('without a NAT the port is seen as it is, and strangers come in', async () => {
  expect(localAddresses().map(({ host }) => host)).toContain('127.0.0.1')
  const report = await measureNat({ servers: [await serve()], clock: systemClock })
  expect(report).toEqual({
    udp: { mapping: 'none', filtering: 'EIF', portPreserving: true },
    tcp: { mapping: 'none', portPreserving: true },
    mapped: '127.0.0.1',
    at: expect.any(Number),
  })
})

test('TCP that does not come through is named', async () => {
  const report = await measureNat({ servers: [await serve({ tcp: false })] })
  expect(report.udp.mapping).toBe('none')
  expect(report.tcp).toEqual({ mapping: 'blocked' })
  expect(report.reason).toContain('TCP is blocked')
})

test('without a server that has an IPv4 address nothing is claimed', async () => {
  for (const host of ['::1', '']) {
    const report = await measureNat({ servers: host === '' ? [] : [{ id: 'x', host, port: 9, alternatePort: null }] })
    expect(report).toMatchObject({ udp: { mapping: 'unknown' }, tcp: { mapping: 'unknown' }, mapped: null })
    expect(report.reason).toContain('no STUN server with an IPv4 address')
  }
})

test('a measurement that is not wanted any more rejects with the reason', async () => {
  const ends = new AbortController()
  const silent = { id: 'x', host: '127.0.0.1', port: 1, alternatePort: null }
  const measured = measureNat({ servers: [silent], signal: ends.signal })
  ends.abort(new Error('not wanted'))
  await expect(measured).rejects.toThrow('not wanted')
})
