import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { connectLocal, createRouter, defineCall, implement, localDoorOf } from '../api/index.ts'
import { silentLogger } from '../base/log.ts'
import { lockHome, startLocalServer } from './index.ts'

const hello = defineCall({
  method: 'GET',
  path: '/v1/hello',
  role: 'admin',
  summary: 'Hello',
  response: z.object({ ok: z.boolean() }),
})
const router = createRouter({ routes: [implement(hello, () => ({ ok: true }))], log: silentLogger })
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function makeHome(name = 'home') {
  const folder = await mkdtemp(join(tmpdir(), 'warren-ops-'))
  cleanups.push(() => rm(folder, { recursive: true, force: true }))
  return join(folder, name)
}
async function serve(home: string) {
  const server = await startLocalServer({
    home,
    env: {},
    handle: (req, res) =>
      void router.handle(req, res, { door: 'local', id: 'me', rights: { role: 'admin', grants: [] } }),
  })
  cleanups.push(() => server.stop())
  return server
}

test('a client of the same home is answered, and the socket and cookie are the owner’s alone', async () => {
  const home = await makeHome()
  const { socket } = await serve(home)
  expect(await (await connectLocal({ home, env: {} })).call(hello, {})).toEqual({ ok: true })
  expect((await stat(socket)).mode & 0o777).toBe(0o700)
  expect((await stat(join(home, 'run'))).mode & 0o777).toBe(0o700)
  const { cookie } = localDoorOf(home, {})
  expect((await stat(cookie)).mode & 0o777).toBe(0o600)
  expect((await readFile(cookie, 'utf8')).trim()).toMatch(/^[0-9a-f]{64}$/)
})

test('a request without the cookie is refused with its code', async () => {
  const { socket } = await serve(await makeHome())
  const asked = request({ socketPath: socket, path: '/v1/hello', headers: { authorization: 'Bearer wrong' } }).end()
  const [response] = await once(asked, 'response')
  expect(response.statusCode).toBe(401)
  expect(JSON.parse(Buffer.concat(await response.toArray()).toString()).error.code).toBe('cookie_wrong')
})

test('a stale socket is replaced and a live one is refused', async () => {
  const home = await makeHome()
  const first = await serve(home)
  await expect(startLocalServer({ home, env: {}, handle: () => undefined })).rejects.toMatchObject({
    code: 'daemon_already_running',
  })
  const { socket } = first
  await first.stop()
  const child = spawn(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ])
  await once(child, 'exit')
  expect((await stat(socket)).isSocket()).toBe(true)
  await serve(home)
  expect(await (await connectLocal({ home, env: {} })).call(hello, {})).toEqual({ ok: true })
})

test('a file in the place of the socket is named and kept', async () => {
  const home = await makeHome()
  const { socket } = await serve(home)
  await cleanups.pop()?.()
  await writeFile(socket, 'mine')
  await expect(startLocalServer({ home, env: {}, handle: () => undefined })).rejects.toMatchObject({
    code: 'socket_unusable',
    message: expect.stringContaining(socket),
  })
  expect(await readFile(socket, 'utf8')).toBe('mine')
})

test('a folder that others may enter is closed before the socket is made in it', async () => {
  const home = await makeHome()
  await serve(home)
  await cleanups.pop()?.()
  await chmod(join(home, 'run'), 0o755)
  await serve(home)
  expect((await stat(join(home, 'run'))).mode & 0o777).toBe(0o700)
})

test('a folder for the socket that another user could exchange is refused by the daemon and by its clients', async () => {
  const home = await makeHome('long'.repeat(40))
  const runtime = await makeHome('runtime')
  const env = { XDG_RUNTIME_DIR: runtime }
  const folder = dirname(localDoorOf(home, env).socket)
  const elsewhere = await makeHome('elsewhere')
  await mkdir(elsewhere, { recursive: true })
  await mkdir(runtime, { recursive: true })
  await symlink(elsewhere, folder)
  await expect(startLocalServer({ home, env, handle: () => undefined })).rejects.toMatchObject({
    code: 'socket_unusable',
    message: expect.stringContaining(folder),
  })
  // Somebody waits there for the cookie.
  const requests: string[] = []
  const thief = createServer((socket) => socket.on('data', (data) => requests.push(String(data))))
  thief.listen(join(elsewhere, 'daemon.sock'))
  cleanups.push(() => thief.close())
  await once(thief, 'listening')
  await expect(connectLocal({ home, env })).rejects.toMatchObject({ code: 'socket_untrusted' })
  expect(requests).toEqual([])
})

test('without a run-time folder the short path lies in the temporary one itself, where nobody else can move it', async () => {
  const { socket } = localDoorOf(await makeHome('long'.repeat(40)), {})
  expect(dirname(dirname(socket))).toBe(tmpdir())
})

test('a home whose socket path is too long is reached through a short one', async () => {
  const home = await makeHome('long'.repeat(40))
  const runtime = await makeHome('runtime')
  const server = await startLocalServer({
    home,
    env: { XDG_RUNTIME_DIR: runtime },
    handle: (req, res) =>
      void router.handle(req, res, { door: 'local', id: 'me', rights: { role: 'admin', grants: [] } }),
  })
  cleanups.push(() => server.stop())
  expect(server.socket.startsWith(runtime)).toBe(true)
  expect(await (await connectLocal({ home, env: { XDG_RUNTIME_DIR: runtime } })).call(hello, {})).toEqual({ ok: true })
})

test('without a daemon the client says so at once', async () => {
  const home = await makeHome()
  await expect(connectLocal({ home, env: {} })).rejects.toMatchObject({
    code: 'daemon_not_running',
    message: expect.stringContaining(home),
  })
})

test('one process holds a home; a killed holder leaves it free', async () => {
  const home = await makeHome()
  const lock = lockHome(home)
  expect(() => lockHome(home)).toThrow(expect.objectContaining({ code: 'daemon_already_running' }))
  lock.release()
  const holder = spawn(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    '-e',
    `const d = new (require('node:sqlite').DatabaseSync)(${JSON.stringify(join(home, 'run', 'lock.db'))}); d.exec('BEGIN EXCLUSIVE'); console.log('held'); setInterval(() => {}, 1000)`,
  ])
  await once(holder.stdout, 'data')
  expect(() => lockHome(home)).toThrow(expect.objectContaining({ code: 'daemon_already_running' }))
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  lockHome(home).release()
})

test('a server on the socket’s path by another program counts as live', async () => {
  const home = await makeHome()
  const { socket } = await serve(home)
  await cleanups.pop()?.()
  const other = createServer().listen(socket)
  await once(other, 'listening')
  cleanups.push(() => other.close())
  await expect(startLocalServer({ home, env: {}, handle: () => undefined })).rejects.toMatchObject({
    code: 'daemon_already_running',
  })
})
