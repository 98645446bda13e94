import type { Clock } from '../base/clock.ts'
import type { TellDecision } from '../base/decisions.ts'
import type { WarrenError } from '../base/errors.ts'
import { TokenBuckets } from '../base/token-buckets.ts'
import type { Caller } from './contract.ts'

/** What is only read, and a flood that is slowed, is told of a peer once in so long. */
const AGAIN_AFTER_SECONDS = 60
/** Peers and calls remembered at once. */
const MAX_KEYS = 4096
/** Longest path that is told; those of real calls are far shorter. */
const MAX_PATH = 200

/** One request of one caller. */
export interface ToldCall {
  readonly caller: Caller
  readonly method: string
  /** As it was asked for, without the query. */
  readonly path: string
}

/** Tells what became of calls: never a query, never a body. */
export interface CallTeller {
  /** Every refusal is told; that of a peer which asks too often, once a minute. */
  refused(call: ToldCall, error: WarrenError): void
  /** Told of every call that changes something, and of a peer's reads once a minute for each call of the contract. */
  allowed(call: ToldCall, template: string): void
  /** Told of calls that change something. */
  failed(call: ToldCall, error: WarrenError): void
}

/** A teller that hands on to `tell`; without one it is silent. */
export function createCallTeller({ tell, clock }: { tell: TellDecision | undefined; clock: Clock }): CallTeller {
  const seldom = new TokenBuckets({ perSecond: 1 / AGAIN_AFTER_SECONDS, burst: 1, maxKeys: MAX_KEYS, clock })
  const say = ({ caller, method, path }: ToldCall, outcome: 'allowed' | 'refused' | 'failed', error?: WarrenError) =>
    tell?.({
      what: 'call',
      outcome,
      by: caller.door === 'local' ? 'local' : caller.id,
      subject: `${method} ${path.slice(0, MAX_PATH)}`,
      ...(error === undefined ? {} : { reason: `${error.code}: ${error.message}` }),
    })
  return {
    refused(call, error) {
      if (error.code === 'rate_limited' && !seldom.take(`${call.caller.id} ${error.code}`)) return
      say(call, 'refused', error)
    },
    allowed(call, template) {
      if (call.method !== 'GET') say(call, 'allowed')
      else if (call.caller.door === 'peer' && seldom.take(`${call.caller.id} ${template}`)) say(call, 'allowed')
    },
    failed(call, error) {
      if (call.method !== 'GET') say(call, 'failed', error)
    },
  }
}
