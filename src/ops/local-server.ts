import { randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { chmod, lstat, mkdir, stat, unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { apiErrors, folderFault, localDoorOf, writeError } from '../api/index.ts'
import { writeFileAtomic } from '../base/files.ts'
import { opsErrors } from './errors.ts'

/** A header block of the API is a few hundred bytes; cookies and node names fit many times. */
const MAX_HEADER_BYTES = 16 * 1024
/** A client on the same machine sends its headers at once. */
const HEADERS_TIMEOUT_MS = 5000
const COOKIE_BYTES = 32

export interface LocalServerOptions {
  readonly home: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Answers a request whose cookie was right. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
}

/** A local door that is open. */
export interface LocalServer {
  readonly socket: string
  /** Stops listening, ends all connections and removes socket and cookie. */
  stop(): Promise<void>
}

/**
 * The local door (DMN-2): HTTP on a Unix socket that is 0700 from its first moment, in a folder that is. A fresh 32-byte
 * cookie, written 0600 once the socket is secured, is needed as bearer token. A stale socket is replaced, a live one
 * refused with `daemon_already_running`. Needs the lock of the home.
 */
export async function startLocalServer({ home, env, handle }: LocalServerOptions): Promise<LocalServer> {
  const door = localDoorOf(home, env)
  await secureFolder(dirname(door.socket))
  await removeStaleSocket(door.socket, home)
  const cookie = randomBytes(COOKIE_BYTES).toString('hex')
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0,
  })
  server.on('request', (request, response) => {
    if (hasCookie(request, cookie)) return handle(request, response)
    writeError(
      response,
      apiErrors.cookie_wrong('the request carries no cookie, or not this daemon’s', {
        hint: `It is in ${door.cookie}. Where that file was changed or lost: kill ${process.pid}, then: warren daemon start`,
      }),
    )
  })
  await listen(server, door.socket)
  const stop = async (): Promise<void> => {
    await unlink(door.cookie).catch(() => undefined)
    server.close()
    server.closeAllConnections()
    await unlink(door.socket).catch(() => undefined)
  }
  try {
    await writeFileAtomic(door.cookie, `${cookie}\n`)
  } catch (error) {
    // A full disk: nobody could come in, and the open server would keep a daemon alive that has failed to start.
    await stop()
    throw error
  }
  return { socket: door.socket, stop }
}

async function listen(server: Server, path: string): Promise<void> {
  // bind(2) happens inside listen(), before this function can be left: the umask is back before anything else runs.
  const before = process.umask(0o077)
  try {
    server.listen(path)
    await Promise.race([once(server, 'listening'), once(server, 'error').then(([error]) => Promise.reject(error))])
  } catch (error) {
    throw opsErrors.socket_unusable(`the socket ${path} cannot be made: ${(error as Error).message}`, { cause: error })
  } finally {
    process.umask(before)
  }
  await chmod(path, 0o700)
}

async function secureFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const found = await lstat(folder)
  if (found.isDirectory() && found.uid === process.getuid?.()) await chmod(folder, 0o700)
  const fault = await folderFault(folder)
  if (fault !== undefined) throw opsErrors.socket_unusable(fault, { hint: `Look at it: ls -ld ${folder}` })
}

async function removeStaleSocket(path: string, home: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return
  if (!found.isSocket()) {
    throw opsErrors.socket_unusable(`${path} is in the way and is no socket`, {
      hint: `Look at it, then remove it: rm ${path}`,
    })
  }
  if (await answers(path)) {
    throw opsErrors.daemon_already_running(`something answers on ${path} already`, {
      hint: `See it: warren --home ${home} status`,
    })
  }
  await unlink(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const end = (live: boolean): void => {
      socket.destroy()
      resolve(live)
    }
    socket.setTimeout(2000, () => end(true))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

function hasCookie(request: IncomingMessage, cookie: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? '')
  const wanted = Buffer.from(`Bearer ${cookie}`)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}
