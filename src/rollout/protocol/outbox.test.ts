import { type Duplex, duplexPair } from 'node:stream'
import { expect, test } from 'vitest'
import type { Stream } from '../../net/index.ts'
import { createOutbox } from './outbox.ts'

const progress = { document: 'a'.repeat(64), node: 'me', phase: 'send', bytes: 1, total: 2, moved: 0 } as const

/** An outbox whose streams end in a test's hand. */
function newOutbox() {
  const far: Duplex[] = []
  const near: Duplex[] = []
  const lost: unknown[] = []
  const heard = Promise.withResolvers<void>()
  const outbox = createOutbox({
    network: {
      open: async () => {
        const [own, other] = duplexPair()
        near.push(own)
        far.push(other)
        return own as unknown as Stream
      },
    },
    peer: 'other',
    onLost: (error) => {
      lost.push(error)
      heard.resolve()
    },
  })
  return { outbox, far, near, lost, heard: heard.promise }
}

test('a stream that goes after something was pushed on it is told of once, since it may not have arrived', async () => {
  const { outbox, far, near, lost, heard } = newOutbox()
  outbox.progress(progress)
  await expect.poll(() => far[0]?.readableLength).toBeGreaterThan(0)
  // As a connection that goes, or a refusal by the other side.
  near[0]?.destroy()
  await heard
  expect(lost).toHaveLength(1)
  outbox.progress(progress)
  await expect.poll(() => far[1]?.readableLength).toBeGreaterThan(0)
  outbox.close()
  expect(lost).toHaveLength(1)
})
