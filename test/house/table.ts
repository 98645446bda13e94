/**
 * The folders under src/ and what each may import: the same table as in ARCHITECTURE.md, which a test compares.
 * A row may come before its folder.
 */
const SHARED = ['base', 'api', 'config', 'identity', 'net', 'member']
const ROWS: Record<string, readonly string[]> = {
  base: [],
  api: ['base'],
  config: ['base', 'api'],
  identity: ['base', 'api'],
  health: ['base'],
  bundle: ['base', 'identity', 'health'],
  command: ['base', 'api', 'config'],
  net: ['base', 'config', 'identity', 'api'],
  member: ['base', 'api', 'config', 'identity', 'net'],
  audit: ['base', 'api', 'identity', 'net', 'member'],
  transfer: [...SHARED, 'bundle'],
  registry: [...SHARED, 'bundle', 'transfer'],
  app: [...SHARED, 'bundle', 'transfer', 'health'],
  rollout: [...SHARED, 'bundle', 'transfer', 'health', 'app'],
  service: SHARED,
  tunnel: SHARED,
  ops: ['base', 'api', 'config', 'identity'],
  lab: ['base', 'api', 'config', 'command', 'health', 'identity', 'bundle'],
  daemon: [],
  relay: [],
  cli: ['base', 'command'],
  web: [],
}

/** These two wire everything together. */
const EVERYTHING_BUT = ['cli', 'web', 'command']
for (const folder of ['daemon', 'relay']) {
  ROWS[folder] = Object.keys(ROWS).filter((other) => other !== folder && !EVERYTHING_BUT.includes(other))
}

/** Folder → the folders whose doors it may import. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = ROWS

/** Cheap to load and without a network: light rooms may use these. */
export const VOCABULARY = ['base', 'api', 'config', 'identity', 'health', 'bundle', 'command']

/** Folders in which only protocol/ and index.ts talk to net/. */
export const FEATURES = ['member', 'audit', 'transfer', 'registry', 'app', 'rollout', 'service', 'tunnel']

/**
 * Wiring lists the sections of the configuration, and `warren config` reads that list without loading the features: so
 * these folders enter others by config.ts as well. They are reached from commands/ by `await import()` only, because
 * they load the whole program.
 */
export const WIRING = ['daemon', 'relay']

/** Folders that drive the daemons from outside, over the API, and so may read every contract. */
export const CONTRACT_READERS = ['lab', 'web']

/** Packages that only one folder imports, so that a new major version of them touches one folder. */
export const HOMES: readonly { packages: RegExp; folder: string }[] = [
  { packages: /^(libp2p|@libp2p\/.*|@chainsafe\/libp2p-.*|@multiformats\/.*)$/, folder: 'net' },
]

/** Packages that cost tens of milliseconds to load, and those that only tests and builds have. */
export const HEAVY = /^(libp2p|@libp2p\/.*|@chainsafe\/.*|@multiformats\/.*|pino|vitest|fast-check|esbuild)$/

/** The files through which other folders enter. */
export const DOOR = /^(index|contract)\.ts$|^commands\/index\.ts$/

/** The rooms that a command line loads before it knows what it needs. */
export const LIGHT_ROOM = /^(contract|config|errors)\.ts$|^commands\//
