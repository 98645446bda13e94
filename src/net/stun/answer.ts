/** What a STUN server says to a request, and how it says it over TCP. */
import type { Socket } from 'node:net'
import { type Clock, systemClock, type TimerHandle } from '../../base/clock.ts'
import { plainHost } from '../../base/ip-scope.ts'
import { MAX_TCP_REQUESTS, TCP_FIRST_REQUEST_MS, TCP_IDLE_MS } from './constants.ts'
import { type DecodedStun, decodeStun, type Endpoint, encodeStun, type StunMessage, stunLength } from './message.ts'

/** CHANGE-REQUEST as an attribute, for an error that names it. */
const CHANGE_REQUEST = 0x0003

/** Where a request came from and where it arrived. */
interface AnswerFacts {
  readonly from: Endpoint
  /** The own address and port from which the answer goes out. */
  readonly origin: Endpoint
  readonly other?: Endpoint | undefined
  /** False where the answer cannot come from where CHANGE-REQUEST wants it. */
  readonly canChange: boolean
}

/** The answer to a request; undefined for a message that gets none (RFC 8489, 6.3). */
export function answerTo(
  request: DecodedStun,
  { from, origin, other, canChange }: AnswerFacts,
): StunMessage | undefined {
  if (request.kind !== 'request') return undefined
  const { transaction } = request
  const refused = [...request.notUnderstood]
  const wantsChange = request.change?.host === true || request.change?.port === true
  if (wantsChange && !canChange) refused.push(CHANGE_REQUEST)
  if (refused.length > 0) {
    // Few, so that the answer is not much longer than what was asked.
    const unknownAttributes = refused.slice(0, 4)
    return { kind: 'error', transaction, error: { code: 420, reason: 'Unknown Attribute' }, unknownAttributes }
  }
  return { kind: 'success', transaction, mapped: { ...from, host: plainHost(from.host) }, origin, other }
}

/** Limits and facts of answering one TCP connection. */
export interface AnswerTcpOptions {
  /**
   * Asked for every request with its transaction in hex; a connection whose request is not admitted is closed without
   * a word. Default: every one is.
   */
  admits?(transaction: string, from: Endpoint): boolean
  /** The other port to name, to one who asked at this one. */
  otherOf?(origin: Endpoint): Endpoint | undefined
  readonly clock?: Clock
}

/**
 * Answers Binding requests on a connection that was accepted, until the other side leaves, says something else, has sent
 * no whole request in 5 s at first and 60 s later, or has asked 32 times. Takes the socket over, with its errors; nothing is
 * to be done about it afterwards.
 */
export function answerStunTcp(socket: Socket, options: AnswerTcpOptions = {}): void {
  const from = { host: plainHost(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
  const origin = { host: plainHost(socket.localAddress ?? ''), port: socket.localPort ?? 0 }
  let heard: Buffer = Buffer.alloc(0)
  let requests = 0
  const { clock = systemClock } = options
  let timer: TimerHandle | undefined
  const leave = (): void => void socket.destroy()
  // For a whole request: silence alone would let a stranger keep the connection with a byte now and then.
  const waitFor = (ms: number): void => {
    if (timer !== undefined) clock.clearTimeout(timer)
    timer = clock.setTimeout(leave, ms)
  }
  const answer = (bytes: Buffer): boolean => {
    const request = decodeStun(bytes)
    if (request === undefined || ++requests > MAX_TCP_REQUESTS) return false
    const transaction = Buffer.from(request.transaction).toString('hex')
    if (options.admits !== undefined && !options.admits(transaction, from)) return false
    const message = answerTo(request, { from, origin, other: options.otherOf?.(origin), canChange: false })
    if (message === undefined) return false
    waitFor(TCP_IDLE_MS)
    socket.write(encodeStun(message))
    return true
  }
  socket.on('error', leave)
  // A connection that was over before it came here has no address, and says nothing more.
  if (socket.destroyed || from.port === 0) {
    socket.destroy()
    return
  }
  socket.setNoDelay(true)
  waitFor(TCP_FIRST_REQUEST_MS)
  socket.once('close', () => timer !== undefined && clock.clearTimeout(timer))
  socket.on('end', leave)
  socket.on('data', (bytes: Buffer) => {
    heard = heard.length === 0 ? bytes : Buffer.concat([heard, bytes])
    for (;;) {
      const length = stunLength(heard)
      // Never more than one message is kept: a longer one has no length.
      if (length === 'more' || (length !== undefined && length > heard.length)) return
      if (length === undefined || !answer(heard.subarray(0, length))) break
      heard = heard.subarray(length)
    }
    leave()
  })
  socket.resume()
}
