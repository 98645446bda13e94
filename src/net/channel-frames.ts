import type { MessageStream } from '@libp2p/interface'
import { ADMISSION_ANSWER_BYTES, ADMISSION_REQUEST_BYTES, PROOF_MAX_BYTES } from './constants.ts'

/** How the frames of one kind look: bytes of the big-endian length before the body, and the longest body. */
export interface FrameShape {
  readonly lengthBytes: 2 | 4
  readonly maxBytes: number
}

/** Every message of the membership proof. */
export const PROOF_FRAME: FrameShape = { lengthBytes: 2, maxBytes: PROOF_MAX_BYTES }
/** The request of a talk about admission, and its answer. */
export const REQUEST_FRAME: FrameShape = { lengthBytes: 2, maxBytes: ADMISSION_REQUEST_BYTES }
export const ANSWER_FRAME: FrameShape = { lengthBytes: 4, maxBytes: ADMISSION_ANSWER_BYTES }

/** A body, or why none came: the other side left, the signal fired, or a longer one was announced than is taken. */
export type Heard = Buffer | 'left' | 'late' | 'too long'

/** The request itself, where it is short enough; a longer one never leaves this node. */
export function boundedRequest(message: Uint8Array): Uint8Array {
  if (message.length <= REQUEST_FRAME.maxBytes) return message
  throw new Error(`a request of ${message.length} bytes is too long`)
}

/** Sends one frame; false where the channel is no longer open. */
export function sendFrame(channel: MessageStream, body: Uint8Array, { lengthBytes }: FrameShape): boolean {
  if (channel.status !== 'open') return false
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntBE(body.length, 0, lengthBytes)
  channel.send(Buffer.concat([length, body]))
  return true
}

/** The next frame; what follows it stays in the channel, also when both came in one piece. Never rejects. */
export function receiveFrame(channel: MessageStream, shape: FrameShape, signal: AbortSignal): Promise<Heard> {
  return new Promise((resolve) => {
    const { lengthBytes, maxBytes } = shape
    const pieces: Buffer[] = []
    let received = 0
    let wanted: number | undefined
    const finish = (heard: Heard): void => {
      channel.removeEventListener('message', onMessage)
      channel.removeEventListener('close', onClose)
      signal.removeEventListener('abort', onAbort)
      resolve(heard)
    }
    const onMessage = ({ data }: { data: Uint8Array | { subarray(): Uint8Array } }): void => {
      const piece = Buffer.from(data.subarray())
      pieces.push(piece)
      received += piece.length
      if (wanted === undefined && received >= lengthBytes) wanted = Buffer.concat(pieces).readUIntBE(0, lengthBytes)
      if (wanted === undefined) return
      if (wanted > maxBytes) finish('too long')
      else if (received >= lengthBytes + wanted) take(Buffer.concat(pieces), lengthBytes + wanted)
    }
    const take = (all: Buffer, end: number): void => {
      finish(all.subarray(lengthBytes, end))
      // A channel that closed in the same moment takes nothing back; whoever reads next then learns of the close.
      if (end < all.length && channel.status === 'open') channel.unshift(all.subarray(end))
    }
    const onClose = (): void => finish('left')
    const onAbort = (): void => finish('late')
    channel.addEventListener('message', onMessage)
    channel.addEventListener('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    else if (channel.status !== 'open') onClose()
  })
}

/** Resolves when the channel is closed, or when the signal fires. */
export function closedChannel(channel: MessageStream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      channel.removeEventListener('close', finish)
      signal.removeEventListener('abort', finish)
      resolve()
    }
    channel.addEventListener('close', finish)
    signal.addEventListener('abort', finish, { once: true })
    if (signal.aborted || channel.status !== 'open') finish()
  })
}
