import { type CommandProbe, probeCommand } from './command.ts'
import { type HttpProbe, probeHttp } from './http.ts'
import { type ProcessProbe, probeProcess } from './process.ts'
import type { ProbeOptions, ProbeResult } from './result.ts'
import { probeTcp, type TcpProbe } from './tcp.ts'

/** What is probed, and how. */
export type ProbeSpec = ProcessProbe | HttpProbe | TcpProbe | CommandProbe

/** Looks once (HLT-1). Always answers within the time limit, never throws, leaves nothing running. */
export async function probe(spec: ProbeSpec, options: ProbeOptions): Promise<ProbeResult> {
  switch (spec.type) {
    case 'process':
      return probeProcess(spec)
    case 'http':
      return probeHttp(spec, options)
    case 'tcp':
      return probeTcp(spec, options)
    case 'command':
      return probeCommand(spec, options)
  }
}
