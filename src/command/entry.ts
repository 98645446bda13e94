import type { AnyCommand } from './define.ts'

/** A command in a list of commands: enough for help and completion, and how to load the rest. */
export interface CommandEntry {
  /** The words: `app start`. */
  readonly name: string
  /** Other words for the same, such as `start`. */
  readonly aliases?: readonly string[]
  readonly summary: string
  /** Heading under which the help lists it. */
  readonly group?: string
  readonly hidden?: boolean
  load(): Promise<AnyCommand>
}
