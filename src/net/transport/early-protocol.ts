import { type Stream, UnsupportedProtocolError } from '@libp2p/interface'

interface StreamWithData extends Stream {
  onData(data: { subarray(): Uint8Array }): void
}

/** How each side of multistream-select begins: the length of a line, and the line. */
const GREETING = lineOf('/multistream/1.0.0')

/**
 * Says on a new stream which protocol it speaks, without waiting for the answer: a round trip less, for requests whose own
 * answer tells whether the other side knows it. A stream that is answered otherwise is aborted with
 * UnsupportedProtocolError. On the wire it is multistream-select 1.0 all the same.
 */
export function sayEarly(opened: Stream, protocol: string): void {
  const stream = opened as StreamWithData
  const said = Buffer.concat([GREETING, lineOf(protocol)])
  const pass = stream.onData.bind(stream)
  let heard = Buffer.alloc(0)
  stream.protocol = protocol
  stream.onData = (data) => {
    heard = Buffer.concat([heard, data.subarray()])
    const length = Math.min(heard.length, said.length)
    if (!heard.subarray(0, length).equals(said.subarray(0, length))) {
      stream.onData = pass
      stream.abort(new UnsupportedProtocolError(`the other side does not speak ${protocol}`))
    } else if (length === said.length) {
      stream.onData = pass
      const rest = heard.subarray(length)
      if (rest.length > 0) pass(rest as never)
    }
  }
  stream.send(said)
}

/** Lines are short here: their length takes one byte. */
function lineOf(text: string): Buffer {
  const line = Buffer.from(`${text}\n`)
  if (line.length > 127) throw new Error(`the protocol id ${text} is too long`)
  return Buffer.concat([Buffer.of(line.length), line])
}
