import type { MultiaddrConnection, Stream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'

type CreateFactory<C> = (components: C) => StreamMuxerFactory

/**
 * A muxer whose streams have equal chances. When its connection has room again, libp2p lets the streams send one after
 * another in the order of their opening, and the first one with bytes left fills the connection: on a link that is
 * slower than its writer, every later stream, a ping as well, waits until that one is through. So the order is drawn
 * anew each time.
 */
export function fairly<C>(create: CreateFactory<C>): CreateFactory<C> {
  return (components) => {
    const factory = create(components)
    return {
      protocol: factory.protocol,
      createStreamMuxer(connection: MultiaddrConnection): StreamMuxer {
        const muxer = factory.createStreamMuxer(connection)
        // After the muxer's own listener: the order counts the next time.
        connection.addEventListener('drain', () => shuffle(muxer.streams))
        return muxer
      },
    }
  }
}

function shuffle(streams: Stream[]): void {
  for (let last = streams.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1))
    const stream = streams[last] as Stream
    streams[last] = streams[other] as Stream
    streams[other] = stream
  }
}
