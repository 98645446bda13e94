import { baseErrors } from '../base/errors.ts'

/** A label of DNS (RFC 1123) with a letter in it, because a number would be taken for a port. */
const NAME = /^(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** True for what a service may be called. */
export function isServiceName(text: string): boolean {
  return NAME.test(text)
}

/** A host and a port of a target. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/**
 * `5432`, `127.0.0.1:5432`, `db.lan:5432` or `[::1]:5432`; without a host it is 127.0.0.1. Fails with `invalid_value`.
 */
export function parseTarget(text: string): HostPort {
  const found = /^(?:(?:\[([0-9a-fA-F:.%a-z]+)\]|([A-Za-z0-9._-]+)):)?(\d{1,5})$/.exec(text)
  const port = Number(found?.[3])
  if (found !== null && isPort(port)) return { host: found[1] ?? found[2] ?? '127.0.0.1', port }
  throw baseErrors.invalid_value(`"${text}" is no target`, {
    hint: 'Write a port (5432), a host and a port (192.168.1.5:5432), or for IPv6 [::1]:5432',
  })
}

/** True for a port that can be connected to. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536
}

/** `127.0.0.1:5432`, `[::1]:5432`. */
export function formatTarget({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
