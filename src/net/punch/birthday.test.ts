import { expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { probePorts } from './birthday.ts'
import type { Opened } from './dialling.ts'
import { BIRTHDAY_PROBES, MAX_OPEN_PROBES } from './limits.ts'

test('however long each probe waits, so many wait at once, and in the end all were made', async () => {
  const ended = new AbortController()
  const waiting: ((opened: Opened) => void)[] = []
  let [made, most] = [0, 0]
  const full = Promise.withResolvers<void>()
  const open = (): Promise<Opened> => {
    most = Math.max(most, waiting.length + 1)
    if (++made === MAX_OPEN_PROBES) full.resolve()
    // Once there were as many as there may be, the others fail at once.
    if (made > MAX_OPEN_PROBES) return Promise.resolve({ failed: 'ECONNREFUSED' })
    return new Promise((resolve) => waiting.push(resolve))
  }
  const init = { rttMs: 0, clock: systemClock, signal: ended.signal, onConnected: () => undefined }
  const probing = probePorts({ ...init, host: '127.0.0.1', localPort: 1, open })
  await full.promise
  await new Promise((resolve) => setTimeout(resolve, 150))
  expect([made, most]).toEqual([MAX_OPEN_PROBES, MAX_OPEN_PROBES])
  for (const answer of waiting) answer({ failed: 'silent' })
  await probing
  expect(made).toBe(BIRTHDAY_PROBES)
})
