/**
 * daemon: the wiring of a node, in the order of its start. One process a home, which holds the home's lock, runs every
 * feature, and answers on the local socket and to peers.
 *
 * The commands start and stop it; nothing imports it. It holds no logic of its own: what happens is in the features,
 * and this folder only makes them and hands each what it asks for. Stopping is the same list backwards.
 *
 * ```ts
 * const daemon = await startDaemon({ home, configFile: undefined, env: process.env, listen: [] })
 * await daemon.stopped
 * ```
 */
export { type DaemonOptions, type RunningDaemon, startDaemon } from './start.ts'
