import { closeSync, writeSync } from 'node:fs'
import type { WarrenError } from '../base/errors.ts'

/** Names the descriptor on which a daemon in the background tells whoever started it how its start went. */
export const READY_DESCRIPTOR = 'WARREN_READY_FD'

/** What is said on it: one JSON line. */
export type ReadyMessage =
  | { ready: { pid: number } }
  | { error: ReturnType<WarrenError['toJSON']> & { status: number } }

/** Tells it, once, if anybody asked. */
export function tellReady(env: Readonly<Record<string, string | undefined>>, message: ReadyMessage): void {
  const descriptor = Number(env[READY_DESCRIPTOR])
  if (!Number.isInteger(descriptor) || descriptor < 3) return
  try {
    writeSync(descriptor, `${JSON.stringify(message)}\n`)
    closeSync(descriptor)
  } catch {
    // Whoever asked has left; the daemon goes on.
  }
}
