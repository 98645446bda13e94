import type { LookupFunction } from 'node:net'

/**
 * Both loopback addresses, IPv4 first, with no resolver asked: an app may listen on either, and a machine may have no
 * `localhost` in its hosts file. Node tries them in turn (autoSelectFamily, on by default).
 */
export const loopbackLookup: LookupFunction = (_host, options, callback) => {
  if (options.all) {
    callback(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ])
  } else {
    callback(null, '127.0.0.1', 4)
  }
}

/** The operating system's code of a failed connection, also where both addresses failed. */
export function connectFailure(error: Error): string {
  const inner = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : error
  return (inner as NodeJS.ErrnoException | undefined)?.code ?? error.message
}
