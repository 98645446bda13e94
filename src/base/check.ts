/** One thing that was looked at: whether it is well, and else what to do. */
export interface Check {
  /** What was looked at, in a word or two. */
  readonly name: string
  /** `warning`: it works, but not as well as it could. `skipped`: it could not be looked at, or is not used here. */
  readonly outcome: 'ok' | 'warning' | 'failed' | 'skipped'
  /** What was found, for people. */
  readonly message: string
  /** What mends it: a command, or a sentence. */
  readonly hint?: string | undefined
}

/** What one check found, its name left out. */
export type Finding = Omit<Check, 'name'>

/** Looks, and makes a failed check of whatever is thrown, with its hint. */
export async function lookAt(name: string, look: () => Finding | Promise<Finding>): Promise<Check> {
  try {
    return { name, ...(await look()) }
  } catch (thrown) {
    const error = thrown as Error & { hint?: string }
    return { name, outcome: 'failed', message: error.message, hint: error.hint }
  }
}
