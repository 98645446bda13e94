/**
 * What runs in the process of a data channel. The text of these functions is given to Node, so they use nothing but
 * their parameters and what every Node program has.
 */
import type { Socket } from 'node:net'
import type NodeDataChannel from 'node-datachannel'
import type { Description } from './messages.ts'

/** What the process is told at its start. */
export interface ChannelOrder {
  readonly isFirst: boolean
  readonly localPort: number
  readonly remoteHost: string
  readonly remotePort: number
  readonly windowBytes: number
  /** How long the last bytes may take when the process that uses the channel has closed it. */
  readonly lingerMs: number
}

type Library = typeof NodeDataChannel
type Connection = InstanceType<Library['PeerConnection']>
type Channel = ReturnType<Connection['createDataChannel']>

interface CarrierInit {
  pipe: Socket
  windowBytes: number
  channel: Channel
  /** The other side does not keep to the rules. */
  onMisuse(): void
  /** All that was given to the channel has been taken. */
  onTaken(): void
}

interface ProgramInit {
  library: Library
  net: typeof import('node:net')
  order: ChannelOrder
  carryBytes: (init: CarrierInit) => () => void
  sdpOf: (about: Description, setup: string) => string
}

/** The program, for Node's `--eval`; `library` is the path of the package. */
export function dataChannelSource(library: string, order: ChannelOrder): string {
  const requires = `library: require(${JSON.stringify(library)}), net: require('node:net')`
  // They get each other as parameters, since a bundler may give them other names.
  const init = `{ ${requires}, order: ${JSON.stringify(order)}, carryBytes: ${carryBytes}, sdpOf: ${sdpOf} }`
  return `(${dataChannelProgram})(${init})`
}

/**
 * One data channel between the UDP port and the other side's, its bytes carried to and from descriptor 4. Descriptions
 * travel over the channel to the parent process, with `open`, and `ended` with the reason.
 */
function dataChannelProgram({ library, net, order, carryBytes, sdpOf }: ProgramInit): void {
  const pipe = new net.Socket({ fd: 4, readable: true, writable: true, allowHalfOpen: true })
  pipe.pause()
  const tell = (message: object): void => void (process.connected && process.send?.(message))
  // Nothing is cleaned up: the library aborts where it is taken down while its threads still run.
  const kill = (): void => void process.kill(process.pid, 'SIGKILL')
  const end = (why: string): void => {
    tell({ type: 'ended', why })
    setTimeout(kill, process.connected ? 50 : 0)
  }
  process.on('uncaughtException', (error) => end(error.message))
  process.on('disconnect', kill)
  const { localPort } = order
  const ports = { portRangeBegin: localPort, portRangeEnd: localPort }
  const connection = new library.PeerConnection('', { iceServers: [], ...ports, maxMessageSize: 65_536 })
  // The other side is told that it is over, as far as the library gets.
  const leave = (): void => {
    setTimeout(kill, 200)
    connection.close()
  }
  let isClosed = false
  let isTaken = false
  pipe.on('error', leave)
  pipe.on('close', () => {
    isClosed = true
    if (isTaken) leave()
    else setTimeout(leave, order.lingerMs)
  })
  const onTaken = (): void => {
    isTaken = true
    if (isClosed) leave()
  }
  const use = (channel: Channel): void => {
    const onMisuse = (): void => end('the other side does not keep to the window')
    const carry = carryBytes({ pipe, channel, windowBytes: order.windowBytes, onMisuse, onTaken })
    channel.onClosed(() => end('the other side has closed it'))
    channel.onError(end)
    let isOpen = false
    channel.onOpen(() => {
      if (isOpen) return
      isOpen = true
      carry()
      tell({ type: 'open' })
    })
  }
  connection.onLocalDescription((sdp) => {
    const found = (pattern: RegExp): string => pattern.exec(sdp)?.[1] ?? ''
    const [fragment, password] = [found(/a=ice-ufrag:(\S+)/), found(/a=ice-pwd:(\S+)/)]
    const fingerprint = found(/a=fingerprint:sha-256 (\S+)/i).toUpperCase()
    tell({ type: 'describe', fragment, password, fingerprint })
  })
  connection.onStateChange((state) => {
    if (state === 'failed' || state === 'closed' || state === 'disconnected') end(state)
  })
  connection.onDataChannel(use)
  const addCandidate = (): void => {
    if (connection.iceState() === 'connected' || connection.iceState() === 'completed') return
    connection.addRemoteCandidate(`candidate:1 1 UDP 2122317823 ${order.remoteHost} ${order.remotePort} typ host`, '0')
  }
  process.on('message', (about: Description) => {
    const [setup, type] = order.isFirst ? ['active', 'answer'] : ['actpass', 'offer']
    connection.setRemoteDescription(sdpOf(about, setup as string), type as 'answer')
    // The side that answers waits to be found: its first packets would reach a library that still takes in the answer,
    // and then finds no fingerprint to compare with.
    setTimeout(addCandidate, order.isFirst ? 0 : 700)
  })
  if (order.isFirst) use(connection.createDataChannel('warren'))
}

/**
 * Carries the bytes of the pipe over the channel and back; gives the function that goes on with it. Each message begins
 * with a byte: 0 data, 1 how many bytes the reader has taken since (32 bits), 2 the end, 3 that all up to the end was
 * taken. SCTP as the library has it knows no reader that is slow, so each side sends at most the window beyond what was
 * taken.
 */
function carryBytes({ pipe, channel, windowBytes, onMisuse, onTaken }: CarrierInit): () => void {
  const messageBytes = 16 * 1024
  const highBytes = 256 * 1024
  let credit = windowBytes
  let taken = 0
  const send = (type: number, body: Uint8Array): void => {
    const message = Buffer.allocUnsafe(body.length + 1)
    message[0] = type
    message.set(body, 1)
    if (channel.isOpen()) channel.sendMessageBinary(message)
  }
  const carry = (): void => {
    while (credit > 0 && channel.isOpen() && channel.bufferedAmount() < highBytes) {
      const ready = pipe.readableLength
      if (ready === 0) {
        pipe.read(0)
        return
      }
      const chunk = pipe.read(Math.min(ready, messageBytes, credit)) as Buffer | null
      if (chunk === null) return
      credit -= chunk.length
      send(0, chunk)
    }
  }
  const giveCredit = (bytes: number): void => {
    taken += bytes
    if (taken < windowBytes / 4) return
    const body = Buffer.alloc(4)
    body.writeUInt32BE(taken)
    taken = 0
    send(1, body)
  }
  channel.setBufferedAmountLowThreshold(highBytes / 4)
  channel.onBufferedAmountLow(carry)
  channel.onMessage((message) => {
    const bytes = Buffer.from(message as Buffer)
    const body = bytes.subarray(1)
    if (bytes[0] === 0) {
      if (pipe.writableLength + body.length > windowBytes * 2) return onMisuse()
      pipe.write(body, () => giveCredit(body.length))
    } else if (bytes[0] === 1 && body.length === 4) {
      credit = Math.min(windowBytes, credit + body.readUInt32BE())
      carry()
    } else if (bytes[0] === 2) pipe.end(() => send(3, Buffer.alloc(0)))
    else if (bytes[0] === 3) onTaken()
  })
  pipe.on('readable', carry)
  pipe.on('end', () => send(2, Buffer.alloc(0)))
  return carry
}

/** What the library wants to hear of the other side, made of the three things that are its own. */
function sdpOf({ fingerprint, fragment, password }: Description, setup: string): string {
  return [
    'v=0',
    'o=- 1 0 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'a=group:BUNDLE 0',
    'a=ice-options:ice2,trickle',
    `a=fingerprint:sha-256 ${fingerprint}`,
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    'a=mid:0',
    'a=sendrecv',
    'a=sctp-port:5000',
    'a=max-message-size:65536',
    `a=setup:${setup}`,
    `a=ice-ufrag:${fragment}`,
    `a=ice-pwd:${password}`,
    '',
  ].join('\r\n')
}
