import type { ComponentLogger, Logger as Libp2pLogger } from '@libp2p/interface'
import type { Logger } from '../base/log.ts'

/** libp2p's log as part of ours: its errors at level debug, for what matters is told by `net` itself; the rest not at all. */
export function hostLogger(log: Logger): ComponentLogger {
  return { forComponent: (name) => componentLogger(log, name) }
}

function componentLogger(log: Logger, component: string): Libp2pLogger {
  const silent = (): void => undefined
  const logger = Object.assign(silent, {
    enabled: false,
    trace: silent,
    error: (format: unknown, ...args: unknown[]) =>
      log.debug({ component, details: args.map(textOf) }, String(format instanceof Error ? format.message : format)),
    newScope: () => logger,
  })
  return logger as unknown as Libp2pLogger
}

function textOf(value: unknown): string {
  return value instanceof Error ? `${value.name}: ${value.message}` : String(value)
}
