import { hostname } from 'node:os'

/** The machine's first name as a label of DNS (RFC 1123), in small letters: `node` where nothing is left of it. */
export function nameOfMachine(name = hostname()): string {
  const short = (name.split('.')[0] ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '')
  return short === '' ? 'node' : short
}
