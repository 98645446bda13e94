import type { Role } from '../api/contract.ts'

/** A package that is stored on this node, as far as a rollout looks at it. */
export interface StoredPackage {
  readonly digest: string
  readonly record: { readonly name: string; readonly version: string; readonly bytes: number }
  /** All chunks are here. */
  readonly complete: boolean
}

/** The store and mover of packages. */
export interface RolloutTransfer<P extends StoredPackage = StoredPackage> {
  get(digest: string): Promise<P | undefined>
  /** Resumes where it was; verified when it returns. */
  fetch(
    digest: string,
    options: {
      sources: string[]
      signal: AbortSignal
      /** `bytes` of the content that are here by now; `movedBytes`, those of them that came over the wire. */
      onProgress(progress: { bytes: number; total: number; movedBytes: number }): void
    },
  ): Promise<P>
}

/** Whether this node trusts who signed a package: throws `untrusted_key`, `package_unsigned`, `bad_signature`. */
export interface RolloutTrust<P extends StoredPackage = StoredPackage> {
  check(stored: P, purpose: { readonly app: string; readonly author: string }): unknown
}

/** How long and how often a new version is watched before it counts as good. */
export interface Trial {
  readonly minHealthyMs: number
  readonly probeIntervalMs: number
  readonly deadlineMs: number
}

/** What a deploy on one node came to. `version`: the one that runs now. */
export type DeployOutcome =
  | { readonly ok: true; readonly version: string }
  | { readonly ok: false; readonly version: string | null; readonly reason: string }

/** This node's instances. Each call is journaled there and may be repeated after a crash. */
export interface RolloutApps {
  /**
   * Installs and switches; when the trial fails, the version before runs again and the answer says so. Throws only
   * before anything was stopped.
   */
  deploy(
    request: { instance: string; digest: string; trial: Trial; generation: number },
    options: { signal: AbortSignal; onPhase(phase: 'install' | 'start' | 'health'): void },
  ): Promise<DeployOutcome>
  /** Goes back to what ran before the deploy of `generation`; does nothing where that has been done or overtaken. */
  revert(
    instance: string,
    options: { generation: number; signal: AbortSignal },
  ): Promise<{ readonly version: string | null }>
  /** What runs, or should, on this node now. */
  active(
    instance: string,
  ): Promise<{ readonly version: string; readonly digest: string; readonly generation: number } | undefined>
}

/** A node as targets and reports need it. */
export interface RolloutNode {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly labels: Readonly<Record<string, string>>
  readonly state: 'up' | 'down' | 'self'
}

/** How well this node knows the roster of today. */
export interface RolloutStanding {
  /** Whether rosters were compared with others since the start, or since this node was last alone. */
  isCurrent(): boolean
  /** Resolves to true once it is, and to false after the time-out. */
  whenCurrent(timeoutMs: number): Promise<boolean>
  /** A sentence for people: what is still missing. */
  why(): string
}

/** What the roster says to rollouts, as it is now. */
export interface RolloutRights {
  /** Whether a node may deploy an app to others. */
  mayDeploy(node: string, app: string): boolean
  /** Whether a member is told of the rollouts of an app. */
  maySee(peer: string, app: string): boolean
  /** Whether the roster names this id, or has removed it. */
  isKnown(node: string): boolean
  /** Whether a node runs apps: a deploy token does not, whoever names it as a target. */
  mayRun(node: string): boolean
  /** Names of those who can give a right. */
  admins(): readonly string[]
  /** Age of the network, by the latest time that this node knows of. */
  networkAgeMs(): number
  /** Whether the newest word of an admin is older than `trust.max_stale`, and how old. */
  isStale(): { readonly stale: boolean; readonly reason: string }
}

/** The nodes of the network. */
export interface RolloutDirectory {
  readonly self: { readonly id: string; readonly name: string }
  /** What can be a target: no deploy tokens. */
  nodes(): readonly RolloutNode[]
  /** The name of a node or token. */
  nameOf(id: string): string | undefined
  /** The nodes that names, ids or label selectors mean; throws `node_not_found`, `selector_invalid`. */
  select(targets: readonly string[]): readonly RolloutNode[]
  roleOf(id: string): Role | undefined
}
