import { expect, test } from 'vitest'
import type { Candidates, Mapping } from './messages.ts'
import { reasonOf } from './reasons.ts'
import { birthdayPart, tcpTimeMs } from './tcp-stage.ts'

const side = (tcp: Mapping, udp: Mapping = tcp, { channel = true, birthday = true } = {}): Candidates => ({
  tcp: { mapping: tcp, own: [], listening: [], dialling: [{ host: '198.51.100.1', port: 9 }] },
  udp: { mapping: udp, addresses: [], channel },
  birthday,
})

test('a failure names what stood in the way, and whether trying again is pointless', () => {
  const said = (mine: Candidates, theirs: Candidates) => reasonOf({ mine, theirs, udp: 'no way' })
  expect(said(side('depends'), side('depends'))).toEqual({
    reason: 'both NATs map per destination (APDM)',
    permanent: true,
  })
  expect(said(side('depends'), side('same')).reason).toMatch(/^this node's NAT .* probing .*; UDP did not get through/)
  expect(said(side('same'), side('depends')).reason).toMatch(/^the other side's NAT/)
  const unprobed = { mine: side('same', 'same', { birthday: false }), theirs: side('depends'), udp: 'no way' } as const
  expect(reasonOf(unprobed).reason).toContain('is not probed for so often')
  expect(reasonOf({ ...unprobed, unseen: '198.51.100.9' }).reason).toContain(
    'no relay has seen the other side at 198.51.100.9',
  )
  expect(said(side('same', 'blocked'), side('same'))).toEqual({
    reason: expect.stringMatching(/drop TCP .*; UDP is blocked at this node$/),
    permanent: false,
  })
  expect(said(side('blocked'), side('same'))).toMatchObject({ permanent: true })
  expect(said(side('blocked', 'same'), side('same'))).toMatchObject({ permanent: false })
  expect(said(side('depends', 'same', { channel: false }), side('depends', 'same'))).toEqual({
    reason: expect.stringContaining('node-datachannel'),
    permanent: true,
  })
})

test('where no STUN server is known, that is the reason', () => {
  const blind = { ...side('unknown'), tcp: { mapping: 'unknown' as const, own: [], listening: [], dialling: [] } }
  expect(reasonOf({ mine: blind, theirs: side('same'), udp: 'not tried' })).toEqual({
    reason: expect.stringContaining('STUN'),
    permanent: false,
  })
})

test('birthday probing is for one hard side and one easy one that both may do it', () => {
  expect(birthdayPart(side('depends'), side('same'), 'tcp')).toBe('hard')
  expect(birthdayPart(side('same'), side('depends'), 'udp')).toBe('easy')
  expect(birthdayPart(side('depends'), side('depends'), 'tcp')).toBeUndefined()
  expect(birthdayPart(side('same'), side('same'), 'tcp')).toBeUndefined()
  expect(birthdayPart(side('depends'), side('same', 'same', { birthday: false }), 'tcp')).toBeUndefined()
  expect(tcpTimeMs(side('depends'), side('same'))).toBeGreaterThan(tcpTimeMs(side('depends'), side('depends')))
})
