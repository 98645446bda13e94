import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import type { EventBus } from '../base/events.ts'
import type { Logger } from '../base/log.ts'
import type { Manifest } from '../bundle/index.ts'
import type { PlacementKind } from './placement/index.ts'
import type { FaultPoint } from './switch.ts'

/** A package that is on this node, as far as an app needs it. */
export interface AppPackage {
  readonly digest: string
  readonly record: { readonly name: string; readonly version: string }
  readonly manifest: Manifest
  /** All of its content is here. */
  readonly complete: boolean
}

/** The store of packages. */
export interface AppPackages {
  get(digest: string): Promise<AppPackage | undefined>
  /** Writes the tree of a complete package into a new folder, flushed. */
  materialize(digest: string, folder: string, options: { signal: AbortSignal }): Promise<void>
  /** The folder now holds the package, and may serve for it. */
  adoptTree?(digest: string, folder: string): Promise<void>
  /** The folder is about to go. With `keep`, a package that it holds the last copy of stays. */
  releaseTree?(digest: string, folder: string, options?: { keep?: boolean }): Promise<void>
  list?(): Promise<readonly AppPackage[]>
}

/** What the apps tell of themselves. */
export interface AppEvents {
  /** Anything that `list` shows of an instance has changed. */
  changed: { readonly instance: string }
}

/** What the apps of a node need. */
export interface AppsDeps {
  /** The node's home folder, absolute. Uses `apps/` and `run/keepers/` in it. */
  readonly home: string
  readonly packages: AppPackages
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
  readonly events: EventBus<AppEvents>
  readonly nodeName: string
  /** PATH of the apps, and where their entrypoints are looked up. */
  readonly path: string
  /** TZ of the apps; default: none, the machine's own. */
  readonly timeZone?: string
  /** Between SIGTERM and SIGKILL. */
  readonly stopGraceMs: number
  readonly logs: { readonly maxBytes: number; readonly files: number }
  /** So many versions of an app stay installed, the active one and the one before it among them. */
  readonly keepVersions: number
  /** Default: the best that works. */
  readonly placement?: PlacementKind
  /** Called between the steps of a deploy; for tests that crash there. */
  readonly faultPoint?: (name: FaultPoint) => void | Promise<void>
}
