import { connect } from 'node:net'
import { connectFailure, loopbackLookup } from './loopback.ts'
import { endedReason, failed, type ProbeOptions, type ProbeResult, probeSignal } from './result.ts'

/** A TCP connection to a port of this machine. */
export interface TcpProbe {
  readonly type: 'tcp'
  readonly port: number
}

/** Well when the port accepts a connection on loopback, IPv4 or IPv6; it is closed at once. */
export function probeTcp({ port }: TcpProbe, options: ProbeOptions): Promise<ProbeResult> {
  const what = `TCP port ${port}`
  return new Promise((resolve) => {
    const signal = probeSignal(options)
    const socket = connect({ host: 'localhost', port, lookup: loopbackLookup, signal })
    const finish = (result: ProbeResult): void => {
      socket.destroy()
      resolve(result)
    }
    socket.on('connect', () => finish({ ok: true }))
    socket.on('error', (error) =>
      finish(failed(signal.aborted ? endedReason(what, options) : `${what}: ${connectFailure(error)}`)),
    )
  })
}
