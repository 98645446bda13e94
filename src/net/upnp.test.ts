import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { findUpnp } from './upnp.ts'

/** Addresses of loopback that no other test takes the port of SSDP at. */
const [ROUTER, HOST] = ['127.53.0.1', '127.53.0.2']

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const DESCRIPTION = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/l3</controlURL></service>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>/ctl</controlURL></service>
</serviceList></device></root>`
const done = (action: string, inner = ''): string =>
  `<s:Envelope><s:Body><u:${action}Response xmlns:u="x">${inner}</u:${action}Response></s:Body></s:Envelope>`
const fault = (code: number): string =>
  `<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>${code}</errorCode><errorDescription>No</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>`

/** A router on loopback that answers to a search and over HTTP; `location` is what it says about where. */
async function router(
  serve: RequestListener,
  location = (port: number) => `http://${ROUTER}:${port}/root.xml`,
): Promise<void> {
  const http = createServer(serve)
  ends.push(() => new Promise((resolve) => void http.close(resolve)))
  http.listen(0, ROUTER)
  await once(http, 'listening')
  const { port } = http.address() as { port: number }
  const ssdp = createSocket('udp4')
  ends.push(() => ssdp.close())
  ssdp.on('message', (_bytes, from) => {
    const answer = `HTTP/1.1 200 OK\r\nST: x\r\nLOCATION: ${location(port)}\r\n\r\n`
    ssdp.send(answer, from.port, from.address)
  })
  ssdp.bind(1900, ROUTER)
  await once(ssdp, 'listening')
}

/** What the actions of the service answer, a status and a text each, in turn; with what was asked. */
function service(answers: readonly (readonly [number, string])[], description = DESCRIPTION) {
  const asked: string[] = []
  const serve: RequestListener = (request, response) => {
    if (request.method === 'GET') return void response.end(description)
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const [status, text] = answers[asked.length] ?? [500, fault(501)]
      asked.push(Buffer.concat(parts).toString())
      response.writeHead(status).end(text)
    })
  }
  return { asked, serve }
}

const MAP = { protocol: 'tcp', internalPort: 9010, externalPort: 9010, lifetimeSeconds: 3600 } as const
const find = () => findUpnp({ router: ROUTER, localHost: HOST })

test('a router of version 1 is found, maps a port for this host, and takes it back', async () => {
  const address = '<NewExternalIPAddress>5.5.5.9</NewExternalIPAddress>'
  const { asked, serve } = service([
    [200, done('GetExternalIPAddress', address)],
    [200, done('AddPortMapping')],
    [200, done('DeletePortMapping')],
  ])
  await router(serve)
  const upnp = await find()
  expect(await upnp.externalAddress()).toBe('5.5.5.9')
  expect(await upnp.map(MAP)).toBe(9010)
  await upnp.map({ ...MAP, lifetimeSeconds: 0 })
  expect(asked[1]).toContain(`<NewInternalClient>${HOST}</NewInternalClient>`)
  expect(asked[1]).toContain('<NewLeaseDuration>3600</NewLeaseDuration>')
  expect(asked[2]).toContain('<NewProtocol>TCP</NewProtocol>')
})

test('a port that is taken is exchanged for another, and a router without an end of mappings gets one without', async () => {
  const { asked, serve } = service([
    [500, fault(718)],
    [500, fault(725)],
    [200, done('AddPortMapping')],
  ])
  await router(serve)
  const port = await (await find()).map(MAP)
  expect(port).not.toBe(9010)
  expect(asked[2]).toContain(`<NewExternalPort>${port}</NewExternalPort>`)
  expect(asked[2]).toContain('<NewLeaseDuration>0</NewLeaseDuration>')
})

test('a router that refuses is named with its reason', async () => {
  const { serve } = service([[500, fault(606)]])
  await router(serve)
  await expect((await find()).map(MAP)).rejects.toMatchObject({
    code: 'peer_unreachable',
    message: expect.stringContaining('606 No'),
  })
})

test.each([
  ['points elsewhere', () => 'http://127.0.0.1:9/root.xml'],
  ['points to another protocol', () => `file://${ROUTER}/etc/passwd`],
])('a router whose answer %s is not followed', async (_name, location) => {
  await router(service([]).serve, location)
  await expect(find()).rejects.toThrow('it does not answer')
})

test('a description that is endless, redirects, or controls another host is refused', async () => {
  const endless: RequestListener = (_request, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write('<service>'.repeat(1_000)));
    }
    response.on('drain', more)
    more()
  }
  const redirecting: RequestListener = (_request, response) =>
    void response.writeHead(302, { location: '/other' }).end()
  const elsewhere = service([], DESCRIPTION.replace('/ctl', 'http://127.0.0.1:9/ctl')).serve
  for (const [serve, why] of [
    [endless, 'more than'],
    [redirecting, 'does not answer'],
    [elsewhere, 'no service'],
  ] as const) {
    await router(serve)
    await expect(find()).rejects.toThrow(why)
    for (const end of ends.splice(0).reverse()) await end()
  }
})
