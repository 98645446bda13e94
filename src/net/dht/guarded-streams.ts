import type { Connection, Stream, StreamHandler } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { STREAM_RATE } from '../constants.ts'
import { MAX_MESSAGE_BYTES } from './limits.ts'

interface GuardInit {
  readonly isMember: (peer: string) => boolean
  readonly clock: Clock
  readonly counters: Counters
}

/** Lets members alone ask, each so often, and nobody say more than a message takes. */
export class StreamGuard {
  readonly #init: GuardInit
  readonly #rate: TokenBuckets

  constructor(init: GuardInit) {
    this.#init = init
    this.#rate = new TokenBuckets({ ...STREAM_RATE, clock: init.clock })
  }

  /** The handler behind the guard. */
  protect(handler: StreamHandler): StreamHandler {
    return (stream, connection) => {
      const why = this.#refusal(connection)
      if (why !== undefined) {
        this.#init.counters.add('net_dht_refused', 1, { cause: why })
        stream.abort(new Error(why))
        return
      }
      return handler(this.limit(stream), connection)
    }
  }

  /** The stream, which is reset once its peer has sent more than a message takes: the library would hold 4 MiB. */
  limit<S extends Stream>(stream: S): S {
    let bytes = 0
    stream.addEventListener('message', ({ data }) => {
      bytes += data.byteLength
      if (bytes <= MAX_MESSAGE_BYTES) return
      this.#init.counters.add('net_dht_refused', 1, { cause: 'size' })
      stream.abort(new Error(`more than ${MAX_MESSAGE_BYTES} bytes`))
    })
    return stream
  }

  #refusal(connection: Connection): 'no_member' | 'rate' | undefined {
    const peer = connection.remotePeer.toString()
    if (!this.#init.isMember(peer)) return 'no_member'
    return this.#rate.take(peer) ? undefined : 'rate'
  }
}
