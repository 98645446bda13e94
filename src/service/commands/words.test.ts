import { expect, test } from 'vitest'
import type { ProxyView } from '../contract.ts'
import { describeLocal, describePath, describeProxy, isLoopback } from './words.ts'

const PATH = { latency_ms: null, carrier: null, via: null, why: null }

test('a way is said as people say it', () => {
  expect(describePath({ ...PATH, path: 'direct', carrier: 'tcp', latency_ms: 2.04 })).toBe('direct, 2.0 ms')
  expect(describePath({ ...PATH, path: 'direct', carrier: 'punched', latency_ms: 11 })).toBe('direct, punched, 11 ms')
  expect(
    describePath({ ...PATH, path: 'relayed', via: 'vps', latency_ms: 41.4, why: 'both NATs map per destination' }),
  ).toBe('relayed by vps, 41 ms, why: both NATs map per destination')
  expect(describePath({ ...PATH, path: 'none' })).toBe('not connected now')
})

test('loopback of both kinds is localhost; anything else is named', () => {
  expect(describeLocal(['127.0.0.1:5432', '[::1]:5432'])).toBe('localhost:5432')
  expect(describeLocal(['0.0.0.0:5432'])).toBe('0.0.0.0:5432')
  expect(describeLocal([])).toBe('')
  const proxy = { local: ['127.0.0.1:53'], node: 'office', service: 'dns', kind: 'udp' } as unknown as ProxyView
  expect(describeProxy(proxy)).toBe('localhost:53 → office:dns (udp)')
})

test('a target of another machine is told from one of this', () => {
  for (const target of ['127.0.0.1:80', '[::1]:80', 'localhost:80']) expect(isLoopback(target), target).toBe(true)
  for (const target of ['192.168.1.2:80', 'db.lan:80', '[fe80::1]:80']) expect(isLoopback(target), target).toBe(false)
})
