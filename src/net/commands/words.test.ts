import { expect, test } from 'vitest'
import { withoutName } from './words.ts'

test('a reason does not begin with the name that its line begins with', () => {
  expect(withoutName('cannot reach pi: the port is closed', 'pi')).toBe('the port is closed')
  expect(withoutName('pi: it was disconnected by hand', 'pi')).toBe('it was disconnected by hand')
  expect(withoutName('a ping to pi took longer than 1000 ms', 'pi')).toBe('a ping to pi took longer than 1000 ms')
})
