/**
 * A data channel as a Duplex. The library is native code that parses what comes from the network, keeps the event loop
 * alive after everything is closed, and aborts the process when it is taken down at the wrong moment; so each channel
 * runs in a process of its own, which is killed and never takes this one with it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { rejectOnAbort } from '../../base/wait.ts'
import { type ChannelOrder, dataChannelSource } from './data-channel-program.ts'
import { DATA_CHANNEL_LINGER_MS, DATA_WINDOW_BYTES, MAX_DATA_CHANNELS, MAX_DATA_CHANNELS_PER_PEER } from './limits.ts'
import type { Address, Description } from './messages.ts'

const PACKAGE = 'node-datachannel'

export interface DataChannelInit {
  /** Whose it is to be. */
  peer: string
  /** The side that sends its description first. */
  isFirst: boolean
  /** The UDP port, which must be free now, and is again when the channel has closed. */
  localPort: number
  remote: Address
  /** Sends the own description to the other side. */
  describe(own: Description): Promise<void>
  /** What the other side sent. */
  described(): Promise<Description>
  signal: AbortSignal
}

/** Where the optional package is; undefined where it is not installed, or not for this machine. */
export function dataChannelLibrary(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve(PACKAGE)
  } catch {
    return undefined
  }
}

/** The data channels of one node, each in its process. */
export class DataChannels {
  /** With the peers that they are for. */
  readonly #running = new Map<ChildProcess, string>()

  /** Whether one more channel with this peer can be made now. */
  canOpen(peer: string): boolean {
    const ofPeer = [...this.#running.values()].filter((each) => each === peer).length
    const isRoom = this.#running.size < MAX_DATA_CHANNELS && ofPeer < MAX_DATA_CHANNELS_PER_PEER
    return isRoom && dataChannelLibrary() !== undefined
  }

  /**
   * Makes the channel over a way that was found. Its process ends within 4 s of its closing, mostly at once. It ends
   * without an error when the other side has vanished, which what is carried over it must tell from a whole one (TLS
   * does). Rejects, with nothing left running, when the signal fires or the process ends.
   */
  async open(init: DataChannelInit): Promise<Duplex> {
    const { isFirst, signal } = init
    const library = dataChannelLibrary()
    if (library === undefined) throw new Error(`the package ${PACKAGE} is not installed`)
    // There was room when the attempt began; others may have begun with it.
    if (!this.canOpen(init.peer)) throw new Error('as many data channels are open as there may be')
    signal.throwIfAborted()
    const child = this.#start(library, init)
    const pipe = child.stdio[4] as Duplex
    pipe.on('error', () => undefined)
    const heard = listenTo(child)
    try {
      const talk = async (): Promise<void> => {
        if (!isFirst) child.send(await init.described())
        await init.describe(await heard.description)
        if (isFirst) child.send(await init.described())
        await heard.open
      }
      await Promise.race([talk(), heard.ended, rejectOnAbort(signal)])
    } catch (error) {
      child.kill('SIGKILL')
      pipe.destroy()
      throw error
    }
    // What is under way when the socket closes still has a moment to leave.
    pipe.once('close', () => setTimeout(() => child.kill('SIGKILL'), 2 * DATA_CHANNEL_LINGER_MS).unref())
    child.once('exit', () => pipe.destroy())
    return pipe
  }

  /** Kills the processes of all channels. */
  stop(): void {
    for (const child of this.#running.keys()) child.kill('SIGKILL')
  }

  #start(library: string, { peer, isFirst, localPort, remote }: DataChannelInit): ChildProcess {
    const order: ChannelOrder = {
      isFirst,
      localPort,
      remoteHost: remote.host,
      remotePort: remote.port,
      windowBytes: DATA_WINDOW_BYTES,
      lingerMs: DATA_CHANNEL_LINGER_MS,
    }
    const words = ['--max-semi-space-size=1', '--input-type=commonjs', '--eval', dataChannelSource(library, order)]
    const child = spawn(process.execPath, words, {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc', 'pipe'],
      // Nothing of this process's settings is meant for it.
      env: {},
      cwd: '/',
    })
    this.#running.set(child, peer)
    child.once('exit', () => this.#running.delete(child))
    // More than one may come, and one that nobody hears ends this process.
    child.on('error', () => this.#running.delete(child))
    return child
  }
}

const description = z.object({
  type: z.literal('describe'),
  fragment: z.string().min(4),
  password: z.string().min(22),
  fingerprint: z.string().min(95),
})

function listenTo(child: ChildProcess) {
  const described = Promise.withResolvers<Description>()
  const open = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<never>()
  ended.promise.catch(() => undefined)
  child.on('message', (message) => {
    const { type, why } = (message ?? {}) as { type?: unknown; why?: unknown }
    if (type === 'open') open.resolve()
    if (type === 'ended') ended.reject(new Error(`the data channel ended: ${String(why)}`))
    const parsed = description.safeParse(message)
    if (!parsed.success) return
    const { fragment, password, fingerprint } = parsed.data
    described.resolve({ fragment, password, fingerprint })
  })
  child.once('error', (error) => ended.reject(error))
  child.once('exit', (code, name) => ended.reject(new Error(`the data channel's process ended (${name ?? code})`)))
  return { description: described.promise, open: open.promise, ended: ended.promise }
}
