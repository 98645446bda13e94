import { rejectOnAbort } from '../../base/wait.ts'
import type { StreamOpener } from '../channel.ts'
import { sendMessage } from '../frames.ts'
import type { Stream } from '../types.ts'
import { STOP_PROTOCOL } from './constants.ts'
import type { RelayCode } from './errors.ts'
import { readHead, type StopHead, stopAnswer } from './messages.ts'

/** Why a relay does not do what it was asked. */
export interface Refusal {
  readonly code: RelayCode
  readonly message: string
}

/** Asks a node with a reservation to take what the head names; its stream, or its refusal. Rejects as the signal says. */
export async function callTarget(
  opener: StreamOpener,
  to: string,
  { head, signal }: { head: StopHead; signal: AbortSignal },
): Promise<Stream | Refusal> {
  const far = await opener.openOn(to, STOP_PROTOCOL, { direct: true, signal })
  try {
    signal.throwIfAborted()
    await Promise.race([sendMessage(far, head), rejectOnAbort(signal)])
    const answer = await readHead(far, stopAnswer, signal)
    signal.throwIfAborted()
    if (answer.ok) return far
    far.destroy()
    return { code: 'target_refused', message: `that node refuses: ${answer.message}` }
  } catch (error) {
    far.destroy()
    throw error
  }
}
