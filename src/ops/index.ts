/**
 * ops: what makes the program a well-behaved service of its machine: the local door with its cookie, and the lock that
 * lets one process at a time write a home. Metrics page, health page and systemd notification live here too.
 *
 * The daemon uses it at start and stop. It never decides what a call does, and knows no feature.
 *
 * ```ts
 * const lock = lockHome(home)
 * const server = await startLocalServer({ home, env, handle: (request, response) => router.handle(request, response, local) })
 * ```
 */
export { checkMachine } from './doctor.ts'
export { type HomeLock, lockHome } from './home-lock.ts'
export { type LocalServer, type LocalServerOptions, startLocalServer } from './local-server.ts'
