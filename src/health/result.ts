/** What a probe saw. A probe never throws: what went wrong is the reason, in words for a person. */
export type ProbeResult = { readonly ok: true } | { readonly ok: false; readonly reason: string }

export interface ProbeOptions {
  /** The probe fails when it has no answer after this. */
  readonly timeoutMs: number
  /** Ends the probe at once; its result is then a failure. */
  readonly signal?: AbortSignal | undefined
}

/** A failed probe. */
export function failed(reason: string): ProbeResult {
  return { ok: false, reason }
}

/** One signal for the caller's end and the time limit. The caller of a probe must always get an answer in time. */
export function probeSignal({ signal, timeoutMs }: ProbeOptions): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs)
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout])
}

/** The words for a probe that was ended by its signal. */
export function endedReason(what: string, { signal, timeoutMs }: ProbeOptions): string {
  return signal?.aborted === true ? `${what}: cancelled` : `${what}: no answer within ${timeoutMs} ms`
}
