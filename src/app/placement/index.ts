/** Where the processes of an app are put: one interface, picked once at the start of the daemon and shown by `status`. */
export { findMarked, RUN_VARIABLE } from './none.ts'
export { openGroup, pickPlacement } from './pick.ts'
export { type Group, type Limits, type Placement, type PlacementKind, signalAll } from './placement.ts'
