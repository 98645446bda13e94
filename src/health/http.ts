import { request } from 'node:http'
import { connectFailure, loopbackLookup } from './loopback.ts'
import { endedReason, failed, type ProbeOptions, type ProbeResult, probeSignal } from './result.ts'

/** An HTTP GET to a port of this machine. */
export interface HttpProbe {
  readonly type: 'http'
  readonly port: number
  /** Begins with `/`. */
  readonly path: string
}

/** Well when a GET on loopback is answered with 2xx or 3xx. Redirects are not followed; the body is not read. */
export function probeHttp({ port, path }: HttpProbe, options: ProbeOptions): Promise<ProbeResult> {
  const what = `GET ${path} on port ${port}`
  return new Promise((resolve) => {
    const signal = probeSignal(options)
    const asked = request({
      host: 'localhost',
      port,
      path,
      method: 'GET',
      agent: false,
      lookup: loopbackLookup,
      signal,
      headers: { 'user-agent': 'warren-health', connection: 'close' },
    })
    asked.on('response', (response) => {
      const status = response.statusCode ?? 0
      response.destroy()
      resolve(status >= 200 && status < 400 ? { ok: true } : failed(`${what} answered ${status}`))
    })
    asked.on('error', (error) =>
      resolve(failed(signal.aborted ? endedReason(what, options) : `${what}: ${connectFailure(error)}`)),
    )
    asked.end()
  })
}
