/** A decision on trust, or a change, as the audit log keeps it. */
export interface Decision {
  /** The kind of thing that was decided, a word such as `call`. */
  readonly what: string
  readonly outcome: 'allowed' | 'refused' | 'done' | 'failed'
  /** Node id of who asked for it; `local` for a person on this machine; `root`; null while nobody is authenticated. */
  readonly by: string | null
  /** What it is about, for people: `POST /v1/app/api/stop`, an address. Never a secret. */
  readonly subject: string
  /** Why, where it was refused or failed: an error code, then a message. */
  readonly reason?: string
  readonly detail?: Readonly<Record<string, string | number | boolean | null>>
}

/** Hears decisions; never throws and never waits. */
export type TellDecision = (decision: Decision) => void
