import { duplexPair } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { splice } from './splice.ts'

test('both halves go through, each with its own end', async () => {
  const [client, one] = duplexPair()
  const [other, target] = duplexPair()
  const joined = splice(one, other)
  client.end('there')
  expect(await text(target)).toBe('there')
  target.end('and back')
  expect(await text(client)).toBe('and back')
  await joined
})

test('what breaks first is told, and breaks the other side', async () => {
  const [, one] = duplexPair()
  const [other] = duplexPair()
  const joined = splice(one, other)
  one.destroy(new Error('the cable'))
  await expect(joined).rejects.toThrow('the cable')
  expect(other.destroyed).toBe(true)
})

test('one that closes in the middle without a word is no end', async () => {
  const [, one] = duplexPair()
  const [other] = duplexPair()
  const joined = splice(one, other)
  one.destroy()
  await expect(joined).rejects.toMatchObject({ code: 'service_removed' })
  expect(other.errored).toBeInstanceOf(Error)
})

test('one that is closed already is noticed', async () => {
  const [, one] = duplexPair()
  const [other] = duplexPair()
  one.destroy()
  await new Promise((resolve) => setImmediate(resolve))
  await expect(splice(one, other)).rejects.toThrow()
})
