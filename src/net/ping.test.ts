import { expect, test } from 'vitest'
import { systemClock } from '../base/clock.ts'
import { pingConnection } from './ping.ts'

test('a ping whose stream dies says what to do', async () => {
  const connection = {
    remotePeer: { toString: () => 'the peer' },
    newStream: () => Promise.reject(new Error('The stream has been reset')),
  } as never
  await expect(pingConnection(connection, { timeoutMs: 1_000, clock: systemClock })).rejects.toMatchObject({
    code: 'peer_unreachable',
    message: expect.stringContaining('the connection with the peer ended'),
    hint: expect.stringContaining('warren peers'),
  })
  const enough = AbortSignal.abort(new Error('enough'))
  await expect(pingConnection(connection, { timeoutMs: 1_000, signal: enough, clock: systemClock })).rejects.toThrow(
    'enough',
  )
})
