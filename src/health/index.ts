/**
 * health: is it well? One probe a file: the process lives, an HTTP GET is answered, a TCP port accepts, a command
 * succeeds.
 *
 * `app` asks during a deploy's trial and while an app runs; `lab` asks its nodes. A probe looks once and says what it
 * saw; when to look and what to make of it is the caller's. It never restarts, logs or keeps anything, and it asks
 * loopback only.
 *
 * ```ts
 * const result = await probe({ type: 'http', port: 8080, path: '/healthz' }, { timeoutMs: 5000 })
 * if (!result.ok) throw new Error(result.reason)   // "GET /healthz on port 8080 answered 503"
 * ```
 */
export type { CommandProbe } from './command.ts'
export type { HttpProbe } from './http.ts'
export { type ProbeSpec, probe } from './probe.ts'
export type { ProcessProbe } from './process.ts'
export type { ProbeOptions, ProbeResult } from './result.ts'
export type { TcpProbe } from './tcp.ts'
