import type { CreateStreamOptions, MessageStream, StreamMuxerFactory } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { type EARLY, INITIAL_WINDOW_BYTES, MAX_STREAMS_PER_CONNECTION, STREAM_WINDOW_BYTES } from '../constants.ts'
import { sayEarly } from './early-protocol.ts'
import { MAX_FRAME_BYTES } from './limits.ts'

/** What is used here of a stream of @libp2p/yamux 8, whose version is fixed in package.json. */
interface YamuxStream {
  state: number
  /** What the other side may have on its way in all, and what of it it may still send. */
  recvWindow: number
  recvWindowCapacity: number
  maxMessageSize: number
  sendWindowUpdate(): void
  handleWindowUpdate(frame: unknown): void
}

interface YamuxMuxer {
  _newStream(...about: unknown[]): YamuxStream
}

/** The state of a stream in which both sides know of it, and its reader takes bytes. */
const ESTABLISHED = 3

/**
 * Yamux that says how much it has read once half of the window is, where the library says it after every frame: each of
 * these is a TLS record and a system call, half of a fast reader's time. The window has its full size from the first
 * bytes on, where the library would grow it by round trips that it measures only with its own keep-alive. Frames are
 * small enough that no stream waits long for another. The wire is that of `/yamux/1.0.0`.
 */
export function frugalYamux(): () => StreamMuxerFactory {
  const create = yamux({
    maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
    maxOutboundStreams: MAX_STREAMS_PER_CONNECTION,
    maxEarlyStreams: MAX_STREAMS_PER_CONNECTION,
    // The table of connections has its own beat.
    enableKeepAlive: false,
    streamOptions: { initialStreamWindowSize: INITIAL_WINDOW_BYTES, maxStreamWindowSize: STREAM_WINDOW_BYTES },
  })
  return () => {
    const factory: StreamMuxerFactory = create()
    const createStreamMuxer = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = (connection: MessageStream) => {
      const made = createStreamMuxer(connection)
      const muxer = made as unknown as YamuxMuxer
      const newStream = muxer._newStream.bind(muxer)
      muxer._newStream = (...about) => frugal(newStream(...about))
      const createStream = made.createStream.bind(made)
      made.createStream = async (options?: CreateStreamOptions & Partial<typeof EARLY>) => {
        const stream = await createStream(options)
        if (options?.early === true && options.protocol !== undefined) sayEarly(stream, options.protocol)
        return stream
      }
      return made
    }
    return factory
  }
}

function frugal(stream: YamuxStream): YamuxStream {
  const sendWindowUpdate = stream.sendWindowUpdate.bind(stream)
  const handleWindowUpdate = stream.handleWindowUpdate.bind(stream)
  stream.maxMessageSize = Math.min(stream.maxMessageSize, MAX_FRAME_BYTES)
  stream.sendWindowUpdate = () => {
    if (stream.state === ESTABLISHED) {
      const grown = stream.recvWindow < STREAM_WINDOW_BYTES && stream.recvWindowCapacity < stream.recvWindow
      if (grown) stream.recvWindow = STREAM_WINDOW_BYTES
      // A writer that has nothing left has used it all, so it always hears in time.
      if (stream.recvWindow - stream.recvWindowCapacity < stream.recvWindow / 2) return
    }
    sendWindowUpdate()
  }
  stream.handleWindowUpdate = (frame) => {
    handleWindowUpdate(frame)
    stream.maxMessageSize = Math.min(stream.maxMessageSize, MAX_FRAME_BYTES)
  }
  return stream
}
