/** Asks a router for ports by UPnP: the WANIPConnection of an Internet Gateway Device, version 1 or 2. */
import { createSocket } from 'node:dgram'
import { type Clock, systemClock } from '../base/clock.ts'
import { withTimeout } from '../base/wait.ts'
import { netErrors } from './errors.ts'
import type { MappingRequest } from './nat-pmp.ts'

const SSDP_GROUP = '239.255.255.250'
const SSDP_PORT = 1900
/** A device waits up to the second of `MX` before it answers. */
const SEARCH_TIMEOUT_MS = 3_000
const SEARCH_AGAIN_MS = 500
const CALL_TIMEOUT_MS = 5_000
/** A description or an answer; real ones have some KiB. */
const MAX_TEXT_BYTES = 256 * 1024
/** Devices of version 2 answer to version 1 too (UPnP Device Architecture, 1.3.2). */
const SEARCH_TARGET = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'
const SERVICE = /^urn:schemas-upnp-org:service:WAN(?:IP|PPP)Connection:[12]$/
const DESCRIPTION = 'warren'

/** UPnP's errors that another request gets round. */
const CONFLICT = 718
const ONLY_PERMANENT = 725

/** A router that is asked by UPnP. */
export interface Upnp {
  /** Its outer address. Fails with `peer_unreachable` where it does not answer, or refuses. */
  externalAddress(signal?: AbortSignal): Promise<string>
  /** The outer port that it gives; another than the one asked for where that is taken. Fails as `externalAddress`. */
  map(request: MappingRequest, signal?: AbortSignal): Promise<number>
}

interface Place {
  /** IPv4 address of the router; answers of other hosts are passed over. */
  readonly router: string
  /** The own address towards it, which gets the ports. */
  readonly localHost: string
  readonly clock?: Clock
}

/** Looks for UPnP on a router. Fails with `peer_unreachable`. */
export async function findUpnp({ router, localHost, clock = systemClock }: Place, signal?: AbortSignal): Promise<Upnp> {
  const location = await searchOn({ router, localHost, clock }, signal)
  const text = await fetchText(location, { clock, signal })
  const service = serviceIn(text, location)
  if (service === undefined) throw failure(router, 'it describes no service that maps ports')
  const call = (action: string, values: Readonly<Record<string, string | number>>, signal?: AbortSignal) =>
    callAction(service, { action, values, clock, signal })
  return {
    externalAddress: async (signal) =>
      tagIn(await call('GetExternalIPAddress', {}, signal), 'NewExternalIPAddress') ?? '',
    map: async (request, signal) => {
      const { protocol, externalPort, lifetimeSeconds } = request
      const place = { NewRemoteHost: '', NewExternalPort: externalPort, NewProtocol: protocol.toUpperCase() }
      if (lifetimeSeconds === 0) {
        await call('DeletePortMapping', place, signal)
        return externalPort
      }
      return await addMapping({ ...request, localHost }, (values) => call('AddPortMapping', values, signal))
    },
  }
}

type AddMapping = (values: Readonly<Record<string, string | number>>) => Promise<string>

/** Some routers know permanent mappings only, and a port may be another host's: asks again, twice at most. */
async function addMapping(request: MappingRequest & { localHost: string }, add: AddMapping): Promise<number> {
  let { externalPort, lifetimeSeconds } = request
  for (let tries = 0; ; tries++) {
    try {
      await add({
        NewRemoteHost: '',
        NewExternalPort: externalPort,
        NewProtocol: request.protocol.toUpperCase(),
        NewInternalPort: request.internalPort,
        NewInternalClient: request.localHost,
        NewEnabled: 1,
        NewPortMappingDescription: DESCRIPTION,
        NewLeaseDuration: lifetimeSeconds,
      })
      return externalPort
    } catch (thrown) {
      const code = (thrown as { details?: { upnpError?: unknown } }).details?.upnpError
      if (tries === 2 || (code !== CONFLICT && code !== ONLY_PERMANENT)) throw thrown
      if (code === ONLY_PERMANENT) lifetimeSeconds = 0
      else externalPort = 1_024 + ((externalPort * 7 + 11_003) % 64_000)
    }
  }
}

/** The address of the router's description. */
async function searchOn({ router, localHost, clock }: Required<Place>, signal?: AbortSignal): Promise<URL> {
  const search = [
    'M-SEARCH * HTTP/1.1',
    `HOST: ${SSDP_GROUP}:${SSDP_PORT}`,
    'MAN: "ssdp:discover"',
    'MX: 1',
    `ST: ${SEARCH_TARGET}`,
    '',
    '',
  ].join('\r\n')
  const socket = createSocket('udp4')
  let again: ReturnType<Clock['setTimeout']> | undefined
  try {
    return await withTimeout(
      'a search for UPnP',
      SEARCH_TIMEOUT_MS,
      () =>
        new Promise<URL>((resolve, reject) => {
          // To the router alone as well: some networks pass no multicast on.
          const send = (): void => {
            for (const host of [SSDP_GROUP, router]) socket.send(search, SSDP_PORT, host, () => undefined)
            again = clock.setTimeout(send, SEARCH_AGAIN_MS)
          }
          socket.on('error', reject)
          socket.on('message', (bytes, from) => {
            const location = from.address === router ? locationIn(bytes.toString('latin1'), router) : undefined
            if (location !== undefined) resolve(location)
          })
          socket.bind(0, localHost, () => {
            socket.setMulticastInterface(localHost)
            send()
          })
        }),
      { signal, clock },
    )
  } catch (thrown) {
    signal?.throwIfAborted()
    throw failure(router, 'it does not answer', thrown)
  } finally {
    if (again !== undefined) clock.clearTimeout(again)
    await new Promise<void>((resolve) => void socket.close(resolve))
  }
}

/** Where the description is, which only the router itself may have. */
function locationIn(text: string, router: string): URL | undefined {
  if (!/^HTTP\/1\.[01] 200/.test(text)) return undefined
  return urlOn(/^LOCATION:\s*(\S+)\s*$/im.exec(text)?.[1] ?? '', undefined, router)
}

function urlOn(text: string, base: URL | undefined, router: string): URL | undefined {
  const url = URL.canParse(text, base?.href) ? new URL(text, base?.href) : undefined
  return url?.protocol === 'http:' && url.hostname === router ? url : undefined
}

interface ControlledService {
  readonly type: string
  readonly control: URL
}

/** The first service of a description that maps ports; a router with two has one connection up, as a rule the first. */
function serviceIn(text: string, location: URL): ControlledService | undefined {
  const base = urlOn(tagIn(text, 'URLBase') ?? '', undefined, location.hostname) ?? location
  for (const [, service = ''] of text.matchAll(/<service>([\s\S]*?)<\/service>/gi)) {
    const type = tagIn(service, 'serviceType') ?? ''
    const control = urlOn(tagIn(service, 'controlURL') ?? '', base, location.hostname)
    if (SERVICE.test(type) && control !== undefined) return { type, control }
  }
  return undefined
}

interface Call {
  readonly action: string
  readonly values: Readonly<Record<string, string | number>>
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

async function callAction(
  { type, control }: ControlledService,
  { action, values, clock, signal }: Call,
): Promise<string> {
  const fields = Object.entries(values).map(([name, value]) => `<${name}>${value}</${name}>`)
  const body = `<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<s:Body><u:${action} xmlns:u="${type}">${fields.join('')}</u:${action}></s:Body></s:Envelope>`
  const headers = { 'content-type': 'text/xml; charset="utf-8"', soapaction: `"${type}#${action}"` }
  return await fetchText(control, { clock, signal, init: { method: 'POST', headers, body } })
}

interface FetchOptions {
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  readonly init?: RequestInit
}

async function fetchText(url: URL, { clock, signal, init = {} }: FetchOptions): Promise<string> {
  const load = async (ends: AbortSignal): Promise<string> => {
    const response = await fetch(url, { ...init, redirect: 'error', signal: ends })
    const parts: Uint8Array[] = []
    let bytes = 0
    for await (const part of response.body ?? []) {
      bytes += part.length
      if (bytes > MAX_TEXT_BYTES) throw failure(url.hostname, `it answers with more than ${MAX_TEXT_BYTES} bytes`)
      parts.push(part)
    }
    const text = Buffer.concat(parts).toString('utf8')
    if (response.ok) return text
    const code = Number(tagIn(text, 'errorCode') ?? response.status)
    const reason = (tagIn(text, 'errorDescription') ?? response.statusText).slice(0, 100)
    const details = { upnpError: code }
    throw netErrors.peer_unreachable(`the router ${url.hostname} gives no port by UPnP: ${code} ${reason}`, { details })
  }
  try {
    return await withTimeout('a call by UPnP', CALL_TIMEOUT_MS, load, { signal, clock })
  } catch (thrown) {
    signal?.throwIfAborted()
    throw (thrown as { code?: unknown }).code === 'peer_unreachable'
      ? thrown
      : failure(url.hostname, 'it does not answer', thrown)
  }
}

/** The text of the first tag of a name, whatever its namespace; the few that are read here hold no markup. */
function tagIn(text: string, name: string): string | undefined {
  return new RegExp(`<(?:\\w+:)?${name}(?:\\s[^>]*)?>([^<]*)<`, 'i').exec(text)?.[1]?.trim()
}

function failure(router: string, why: string, cause?: unknown): Error {
  return netErrors.peer_unreachable(`the router ${router} gives no port by UPnP: ${why}`, { cause })
}
