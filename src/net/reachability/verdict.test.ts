import { expect, test } from 'vitest'
import { type Finding, verdictOf } from './verdict.ts'

const finding = (helper: string, confirmed: string[] = [], seen = '9.9.9.9'): Finding => ({
  seen,
  helper,
  confirmed,
  results: [{ port: 9010, outcome: confirmed.length > 0 ? 'answered' : 'silent' }],
})
const YES = ['9.9.9.9:9010']

test('the majority of those who tried decides, and a tie is unknown', () => {
  expect(verdictOf([finding('1.1.1.1', YES), finding('2.2.2.2', YES), finding('3.3.3.3')])).toMatchObject({
    reach: 'public',
    confirmed: YES,
  })
  expect(verdictOf([finding('1.1.1.1', YES), finding('2.2.2.2'), finding('3.3.3.3')]).reach).toBe('private')
  expect(verdictOf([finding('1.1.1.1', YES), finding('2.2.2.2')]).reach).toBe('unknown')
  expect(verdictOf([finding('1.1.1.1')])).toEqual({
    reach: 'private',
    confirmed: [],
    reason: '0 of 1 peers that tried from outside got through (port 9010: no answer)',
  })
})

test('a helper behind the same NAT or in the same IPv6 site tells nothing', () => {
  expect(verdictOf([finding('9.9.9.9', YES)])).toMatchObject({ reach: 'unknown', confirmed: [] })
  const inSite = finding('2a01:4f8:1:2::1', ['[2a01:4f8:1:3::1]:9010'], '2a01:4f8:1:3::1')
  expect(verdictOf([inSite]).reach).toBe('unknown')
  expect(verdictOf([]).reach).toBe('unknown')
})

test('IPv6 decides only where nobody can tell for IPv4', () => {
  const overIpv6 = finding('2a01:4f8:1::1', ['[2a02::1]:9010'], '2a02::1')
  expect(verdictOf([overIpv6]).reach).toBe('public')
  expect(verdictOf([overIpv6, finding('1.1.1.1')])).toMatchObject({
    reach: 'private',
    confirmed: ['[2a02::1]:9010'],
  })
})

test('a helper that names another address than the others makes this node say nothing of it', () => {
  const liar = finding('3.3.3.3', ['8.8.8.8:9010'], '8.8.8.8')
  const honest = [finding('1.1.1.1', YES), finding('2.2.2.2', YES)]
  expect(verdictOf([liar, ...honest])).toMatchObject({ reach: 'public', confirmed: YES })
})
