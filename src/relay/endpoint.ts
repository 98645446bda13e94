/** Where a server listens. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** `127.0.0.1:9091`, `[::1]:9091` or `localhost:9091`; undefined for anything else. Port 0 is any free one. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const [, v6, plain, digits] = /^(?:\[([0-9a-f:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/i.exec(text) ?? []
  const host = v6 ?? plain
  const port = Number(digits)
  return host === undefined || port > 65_535 ? undefined : { host, port }
}
