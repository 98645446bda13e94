import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { readFileBounded } from '../base/files.ts'
import { createClient } from './client.ts'
import type { ApiClient } from './contract.ts'
import { apiErrors } from './errors.ts'

/** Longest path that `sun_path` takes on Linux, less its end (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107
const CONNECT_TIMEOUT_MS = 5000

/** Where the local door of a home is. */
export interface LocalDoor {
  /** The Unix socket: in the home, or in the user's run-time folder where that path would be too long. */
  readonly socket: string
  readonly cookie: string
}

/** The socket and cookie of the daemon in `home`; the same for the daemon and for its clients. */
export function localDoorOf(home: string, env: Readonly<Record<string, string | undefined>>): LocalDoor {
  const run = join(resolve(home), 'run')
  const plain = join(run, 'daemon.sock')
  const cookie = join(run, 'daemon.cookie')
  if (Buffer.byteLength(plain) <= MAX_SOCKET_PATH_BYTES) return { socket: plain, cookie }
  const short = createHash('sha256').update(run).digest('hex').slice(0, 16)
  // In the temporary folder itself, which is sticky: a folder between the two could be another user's, who may move ours.
  const folder = env.XDG_RUNTIME_DIR ?? tmpdir()
  return { socket: join(folder, `warren-${short}`, 'daemon.sock'), cookie }
}

/** Why a folder could be exchanged or entered by another user; undefined where it is this user's alone, or missing. */
export async function folderFault(folder: string): Promise<string | undefined> {
  const found = await lstat(folder).catch(() => undefined)
  if (found === undefined) return undefined
  if (!found.isDirectory()) return `${folder} is no folder`
  if (found.uid !== process.getuid?.()) return `${folder} belongs to another user (uid ${found.uid})`
  return (found.mode & 0o022) === 0 ? undefined : `others may write in ${folder}`
}

export interface LocalClientOptions {
  readonly home: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Another node, by name or id, to which the daemon passes every request on. */
  readonly node?: string | undefined
}

/**
 * A client of the daemon in `home`. Fails at once with `daemon_not_running` where none answers and `socket_untrusted`
 * where another user may have made the socket, and with `cookie_wrong` at the first call where the cookie is not this
 * daemon's.
 */
export async function connectLocal({ home, env, node }: LocalClientOptions): Promise<ApiClient> {
  const door = localDoorOf(home, env)
  await refuseForeignSocket(door)
  const open = (): Promise<Socket> => openSocket(door.socket, home)
  const first = await open()
  let unused: Socket | undefined = first
  // A daemon that ends meanwhile must not end this process by an error that nobody hears.
  first.on('error', () => undefined)
  return createClient({
    open: async () => {
      const socket = unused ?? (await open())
      unused = undefined
      return socket
    },
    // Read for each request: a daemon that was started anew has another one.
    headers: async () => ({
      authorization: `Bearer ${(await readFileBounded(door.cookie, 256))?.toString('utf8').trim() ?? ''}`,
      ...(node === undefined ? {} : { 'warren-node': encodeURIComponent(node) }),
    }),
    onClose: () => unused?.destroy(),
  })
}

/** Who answers there gets the cookie and every request. In the home itself everything is its owner's. */
async function refuseForeignSocket({ socket, cookie }: LocalDoor): Promise<void> {
  const folder = dirname(socket)
  const fault = folder === dirname(cookie) ? undefined : await folderFault(folder)
  if (fault === undefined) return
  throw apiErrors.socket_untrusted(fault, { hint: `Look at it: ls -ld ${folder}` })
}

function openSocket(path: string, home: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const timer = setTimeout(() => socket.destroy(new Error('no answer')), CONNECT_TIMEOUT_MS)
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(socket)
    })
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(
        apiErrors.daemon_not_running(`no daemon answers in ${home}`, {
          cause: error,
          hint: `${existsSync(home) ? 'Start it: warren daemon start' : 'Make a node: warren init'}    (or try a lab: warren lab up)`,
        }),
      )
    })
  })
}
