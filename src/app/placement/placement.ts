/** What an app may use at most. */
export interface Limits {
  readonly memoryBytes?: number
  /** Percent of one core. */
  readonly cpuPercent?: number
}

/** How processes are held together: see the file of that name. */
export type PlacementKind = 'none' | 'cgroup-v1' | 'cgroup-v2'

/** Where the processes of an app are put, so that all of them can be found, stopped and killed. */
export interface Placement {
  readonly kind: PlacementKind
  /** The limits that it holds; others must be refused or warned about before. */
  readonly enforces: readonly (keyof Limits)[]
  /** Makes the group for one run. Its `remove` frees it. */
  prepare(runId: string, limits: Limits): Promise<Group>
}

/** All processes of one run of an app, its keeper not among them. */
export interface Group {
  readonly kind: PlacementKind
  /** The group's folder in the cgroup file system; null where there is none. Kept on disk so that the next daemon finds it. */
  readonly folder: string | null
  /** Files into which the keeper writes to enter the group. */
  readonly entryFiles: readonly string[]
  members(): Promise<number[]>
  /** Kills all members. Some may still be ending when it returns. */
  kill(): Promise<void>
  /** Stops all members from running; `thaw` lets them go on. Both may be called twice. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Takes the empty group away. */
  remove(): Promise<void>
}

/** Sends a signal to each; those that have ended are passed over. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
