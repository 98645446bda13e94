import { expect, test } from 'vitest'
import { PeerAgents } from './peer-agents.ts'

test('what a peer says that it is is kept short, moves no cursor, and is forgotten with it', () => {
  const agents = new PeerAgents()
  agents.note('a', 'warren/1.2.0')
  expect(agents.of('a')).toBe('warren/1.2.0')
  agents.note('b', `\u001b[2Jwarren\n${'x'.repeat(300)}`)
  expect(agents.of('b')).toMatch(/^\[2Jwarrenx{55}$/)
  agents.note('c', '\u0007')
  expect(agents.of('c')).toBeNull()
  agents.forget('a')
  expect(agents.of('a')).toBeNull()
})
