import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseAuthorizedPeers, readAuthorizedPeers } from './authorized-peers.ts'
import { peerIdOf } from './peer-id.ts'

const [a, b] = [1, 2].map((fill) => peerIdOf(new Uint8Array(32).fill(fill))) as [string, string]

test('peers, options, comments and empty lines are read', () => {
  const text = `# friends\n\n${a} name=office site=home # upstairs\r\n  ${b}\n`
  expect(parseAuthorizedPeers(text)).toEqual([
    { id: a, options: { name: 'office', site: 'home' }, line: 3 },
    { id: b, options: {}, line: 4 },
  ])
})

test('the last line of an id wins', () => {
  expect(parseAuthorizedPeers(`${a} name=x\n${a} name=y`)).toEqual([{ id: a, options: { name: 'y' }, line: 2 }])
})

test('a bad line is named with file and line, in letters a terminal may show', () => {
  expect(() => parseAuthorizedPeers(`${a}\n\u001b[31mbob`, 'peers')).toThrow(
    expect.objectContaining({
      code: 'authorized_peers_invalid',
      message: expect.stringContaining('peers:2: "?[31mbob"'),
    }),
  )
  expect(() => parseAuthorizedPeers(`${a} name`)).toThrow(expect.objectContaining({ code: 'authorized_peers_invalid' }))
})

test('any text is read or refused by name, never anything else', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(a, b, '#', ' ', '\n', '\r', 'x=', 'y', '\0', 'ä')), (parts) => {
      try {
        const peers = parseAuthorizedPeers(parts.join(''))
        for (const { id } of peers) expect([a, b]).toContain(id)
      } catch (error) {
        expect(error).toMatchObject({ code: 'authorized_peers_invalid' })
      }
    }),
  )
})

test('a missing file admits nobody', async () => {
  expect(await readAuthorizedPeers('/nonexistent/authorized_peers')).toEqual([])
})
