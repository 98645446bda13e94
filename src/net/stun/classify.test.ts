import { expect, test } from 'vitest'
import { filteringOf, mappingOf } from './classify.ts'
import { describeNat, type NatReport } from './nat-report.ts'

const at = (server: string, mapped: string) => {
  const endpoint = (text: string) => ({ host: text.split(':')[0] as string, port: Number(text.split(':')[1]) })
  return { server: endpoint(server), mapped: endpoint(mapped) }
}

test('the mapping is named by what changes it: nothing, the address, or the port', () => {
  const [same, other] = ['9.9.9.9:1000', '9.9.9.9:1001']
  expect(mappingOf([at('1.1.1.1:1', same), at('1.1.1.1:2', same), at('2.2.2.2:1', same)])).toEqual({ mapping: 'EIM' })
  expect(mappingOf([at('1.1.1.1:1', same), at('2.2.2.2:1', same)])).toEqual({ mapping: 'EIM' })
  expect(mappingOf([at('1.1.1.1:1', same), at('1.1.1.1:2', same), at('2.2.2.2:1', other)])).toEqual({ mapping: 'ADM' })
  expect(mappingOf([at('1.1.1.1:1', same), at('1.1.1.1:2', other), at('2.2.2.2:1', same)])).toEqual({ mapping: 'APDM' })
  expect(mappingOf([at('1.1.1.1:1', same), at('2.2.2.2:1', '9.9.9.8:1000')])).toMatchObject({ mapping: 'APDM' })
})

test('where too few ports answered, what could not be told is said', () => {
  const same = '9.9.9.9:1000'
  expect(mappingOf([])).toMatchObject({ mapping: 'unknown', reason: expect.stringContaining('tells no behaviour') })
  expect(mappingOf([at('1.1.1.1:1', same)]).mapping).toBe('unknown')
  const oneServer = mappingOf([at('1.1.1.1:1', same), at('1.1.1.1:2', same)])
  expect(oneServer).toMatchObject({ mapping: 'EIM', reason: expect.stringContaining('ADM is not excluded') })
  const noSecondPort = mappingOf([at('1.1.1.1:1', same), at('2.2.2.2:1', '9.9.9.9:2')])
  expect(noSecondPort.reason).toContain('cannot be told from APDM')
})

test('the filtering is named by whose answer comes', () => {
  expect(filteringOf({ otherPort: true, otherHost: true }).filtering).toBe('EIF')
  expect(filteringOf({ otherPort: true, otherHost: false }).filtering).toBe('ADF')
  expect(filteringOf({ otherPort: false, otherHost: false }).filtering).toBe('APDF')
  expect(filteringOf({ otherPort: false }).filtering).toBe('APDF')
  expect(filteringOf({ otherPort: true })).toMatchObject({
    filtering: 'unknown',
    reason: expect.stringContaining('EIF'),
  })
  expect(filteringOf({}).filtering).toBe('unknown')
})

test('each kind of NAT has a line for people', () => {
  const lineOf = (udp: NatReport['udp'], tcp: NatReport['tcp'] = udp, reason?: string): string =>
    describeNat({ udp, tcp, mapped: '9.9.9.9', at: 0, ...(reason === undefined ? {} : { reason }) })
  expect(lineOf({ mapping: 'EIM', filtering: 'APDF', portPreserving: true })).toBe(
    'EIM/APDF (port-preserving): direct when both sides open at the same time, which fails only with a peer whose port cannot be foretold',
  )
  expect(lineOf({ mapping: 'APDM', filtering: 'APDF' })).toContain('APDM/APDF: each peer meets another port')
  expect(lineOf({ mapping: 'EIM', filtering: 'EIF' })).toContain('whoever is told the port gets in')
  expect(lineOf({ mapping: 'none', filtering: 'EIF' })).toContain('none: no NAT')
  expect(lineOf({ mapping: 'blocked', filtering: 'unknown' }, { mapping: 'EIM' })).toContain(
    'UDP blocked, TCP EIM: a firewall',
  )
  expect(lineOf({ mapping: 'unknown', filtering: 'unknown' }, { mapping: 'unknown' }, 'nobody answers')).toBe(
    'unknown: no STUN server told what lies between (nobody answers)',
  )
  expect(lineOf({ mapping: 'EIM', filtering: 'APDF' }, { mapping: 'APDM' })).toContain('EIM/APDF, TCP APDM: ')
})
