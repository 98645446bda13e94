import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { hasEnvironmentEntry, identityOfProcess, listProcesses } from '../base/proc.ts'
import { probe } from './index.ts'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
})

async function listen(server: Server, host: string): Promise<number> {
  servers.push(server)
  server.listen(0, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const timeoutMs = 5000
const env = { PATH: '/usr/bin:/bin' }

test('HTTP: 2xx and 3xx are well, anything else is not', async () => {
  const server = createHttpServer((request, response) => {
    response.statusCode = Number(request.url?.slice(1))
    response.end('x'.repeat(100_000))
  })
  const port = await listen(server, '127.0.0.1')
  for (const status of [200, 204, 302, 399]) {
    expect(await probe({ type: 'http', port, path: `/${status}` }, { timeoutMs })).toEqual({ ok: true })
  }
  for (const status of [400, 404, 503]) {
    expect(await probe({ type: 'http', port, path: `/${status}` }, { timeoutMs })).toEqual({
      ok: false,
      reason: `GET /${status} on port ${port} answered ${status}`,
    })
  }
})

test('HTTP: a server that never answers fails by the time limit', async () => {
  const server = createServer((socket) => void socket.on('error', () => undefined).on('end', () => socket.end()))
  server.on('connection', (socket) => socket.resume())
  const port = await listen(server, '127.0.0.1')
  expect(await probe({ type: 'http', port, path: '/' }, { timeoutMs: 50 })).toEqual({
    ok: false,
    reason: `GET / on port ${port}: no answer within 50 ms`,
  })
})

test('TCP: a listening port is well on IPv4 and on IPv6, a closed one says so', async () => {
  const four = await listen(
    createServer((socket) => socket.destroy()),
    '127.0.0.1',
  )
  expect(await probe({ type: 'tcp', port: four }, { timeoutMs })).toEqual({ ok: true })
  const six = await listen(
    createServer((socket) => socket.destroy()),
    '::1',
  )
  expect(await probe({ type: 'tcp', port: six }, { timeoutMs })).toEqual({ ok: true })
  const closed = createServer()
  const port = await listen(closed, '127.0.0.1')
  await new Promise((resolve) => closed.close(resolve))
  servers.length = 0
  expect(await probe({ type: 'tcp', port }, { timeoutMs })).toEqual({
    ok: false,
    reason: `TCP port ${port}: ECONNREFUSED`,
  })
})

test('process: well while it lives, not once it has ended', async () => {
  const child = spawn('/bin/sleep', ['100'], { stdio: 'ignore' })
  await once(child, 'spawn')
  const process = identityOfProcess(child.pid as number)
  if (process === undefined) throw new Error('the child is not there')
  expect(await probe({ type: 'process', process }, { timeoutMs })).toEqual({ ok: true })
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(await probe({ type: 'process', process }, { timeoutMs })).toEqual({
    ok: false,
    reason: `process ${process.pid} has ended`,
  })
})

test('command: exit code 0 is well; otherwise the reason has the code and the last line', async () => {
  const cwd = '/'
  expect(await probe({ type: 'command', argv: ['/bin/sh', '-c', 'exit 0'], cwd, env }, { timeoutMs })).toEqual({
    ok: true,
  })
  expect(
    await probe({ type: 'command', argv: ['/bin/sh', '-c', 'echo no disk; exit 3'], cwd, env }, { timeoutMs }),
  ).toEqual({
    ok: false,
    reason: 'command /bin/sh ended with exit code 3: no disk',
  })
  const missing = await probe({ type: 'command', argv: ['/no/such/program'], cwd, env }, { timeoutMs })
  expect(missing.ok).toBe(false)
})

test('command: past its time it is killed with all it started', async () => {
  const marker = `${process.pid}.${Date.now()}`
  const result = await probe(
    { type: 'command', argv: ['/bin/sh', '-c', 'sleep 300 & sleep 300'], cwd: '/', env: { ...env, MARK: marker } },
    { timeoutMs: 200 },
  )
  expect(result).toEqual({ ok: false, reason: 'command /bin/sh: no answer within 200 ms' })
  const survivors = async (): Promise<number> => {
    let count = 0
    for (const stat of await listProcesses()) if (await hasEnvironmentEntry(stat.pid, `MARK=${marker}`)) count++
    return count
  }
  await expect.poll(survivors).toBe(0)
})

test('a cancelled probe answers at once', async () => {
  const controller = new AbortController()
  controller.abort()
  const result = await probe({ type: 'tcp', port: 1 }, { timeoutMs, signal: controller.signal })
  expect(result).toEqual({ ok: false, reason: 'TCP port 1: cancelled' })
})
