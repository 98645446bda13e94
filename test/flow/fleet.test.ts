import { once } from 'node:events'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeHelloApp } from '../../src/lab/hello-app.ts'
import { createWarren, type LabNode, type Warren } from './warren.ts'

interface Row {
  node: string
  app: string
  version: string
  status: string
  health: string
  pid: number
  ports: Record<string, number>
}
interface DeployEnd {
  done: true
  ok: boolean
  results: { node: string; ok: boolean; version: string | null; reason?: string }[]
}
interface DeployLine extends Partial<DeployEnd> {
  node?: string
  phase?: string
  bytes?: number
  total?: number
}

let warren: Warren
let nodes: LabNode[]
const home = (index: number) => nodes[index]?.home as string

beforeAll(async () => {
  warren = await createWarren()
  nodes = (await warren.must('lab', 'up', '--nodes', '3', '--json')).json<{ nodes: LabNode[] }>().nodes
})
afterAll(() => warren?.cleanup(), 60_000)

async function hello(version: '1.0.0' | '2.0.0' | '3.0.0'): Promise<string> {
  const folder = join(warren.folder, `hello-${version}`)
  await writeHelloApp(folder, version)
  return folder
}
const rows = async () => (await warren.must('list', '--json')).json<Row[]>()
const fetchText = (port: number) =>
  new Promise<string>((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/' }, async (response) =>
      resolve(Buffer.concat(await response.toArray()).toString()),
    ).on('error', reject)
  })
/** Follows the log of the counter and keeps its numbers. */
function follow(...words: string[]) {
  const child = warren.spawn(...words)
  const numbers: number[] = []
  const lines = createInterface({ input: child.stdout })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = once(child, 'close')
  lines.on('line', (text) => {
    // Ctrl-C is said, too, as the last line.
    const { line } = JSON.parse(text) as { line?: string }
    if (line !== undefined) numbers.push(Number(line.split(' ')[1]))
  })
  return {
    numbers,
    reached: (wanted: number) =>
      new Promise<void>((resolve, reject) => {
        const look = (): void => {
          if ((numbers.at(-1) ?? 0) < wanted) return
          lines.off('line', look)
          resolve()
        }
        void ended.then(([code]) => reject(new Error(`it ended with ${code} at ${numbers.at(-1)}: ${said}`)))
        lines.on('line', look)
        look()
      }),
    async end() {
      child.kill('SIGINT')
      await ended
    },
  }
}
const endOf = (lines: DeployLine[]) => lines.at(-1) as DeployEnd

test('every node of a new lab sees every other, and the first one answers a user without a home', async () => {
  const listed = await warren.must('nodes', '--json')
  expect(listed.err).toContain("the lab's first node answers")
  expect(listed.json()).toEqual(
    nodes.map(({ name, id }, index) => ({
      id,
      name,
      addresses: expect.any(Array),
      labels: { lab: 'true' },
      role: index === 0 ? 'admin' : 'member',
      state: index === 0 ? 'self' : 'up',
      version: '0.1.0',
      relayed: index === 0 ? null : false,
      path: index === 0 ? null : 'direct (lan)',
      why: null,
      latency_ms: index === 0 ? null : expect.toSatisfy((value) => value === null || typeof value === 'number'),
      seen: expect.any(String),
      waiting: false,
      expires: null,
    })),
  )
  const status = (await warren.must('status', '--json')).json<Record<string, unknown>>()
  expect(status).toMatchObject({
    id: nodes[0]?.id,
    name: 'burrow-1',
    version: '0.1.0',
    peers: 2,
    apps: 0,
    state: 'running',
  })
  expect(status.pid).toEqual(expect.any(Number))
  expect(status.uptime_seconds).toEqual(expect.any(Number))
})

test('a folder is packed, signed, sent to every node, started and reached; its logs come from where it runs', async () => {
  const deployed = await warren.must('deploy', await hello('1.0.0'), '--all', '--json')
  const lines = deployed.lines<DeployLine>()
  expect(endOf(lines)).toMatchObject({ done: true, ok: true })
  expect(endOf(lines).results.map(({ node, ok, version }) => ({ node, ok, version }))).toEqual(
    nodes.map(({ name }) => ({ node: name, ok: true, version: '1.0.0' })),
  )
  const phases = new Set(lines.filter(({ node }) => node === 'burrow-2').map(({ phase }) => phase))
  for (const phase of ['send', 'verify', 'install', 'start', 'health', 'done']) expect(phases).toContain(phase)

  const running = await rows()
  expect(running).toHaveLength(3)
  for (const row of running) {
    expect(row).toMatchObject({ app: 'hello', version: '1.0.0', status: 'running', health: 'healthy' })
    expect(await fetchText(row.ports.web as number)).toContain(`Hello from ${row.node}`)
  }
  const logs = (await warren.must('logs', 'hello', '--on', 'burrow-2', '--tail', '5', '--json')).lines<
    Record<string, string>
  >()
  expect(logs.at(-1)).toMatchObject({
    node: 'burrow-2',
    app: 'hello',
    stream: 'stdout',
    line: expect.stringContaining('hello from burrow-2, version 1.0.0'),
  })
  const everywhere = (await warren.must('logs', 'hello', '--json')).lines<{ node: string; time: string }>()
  expect(new Set(everywhere.map(({ node }) => node))).toEqual(new Set(nodes.map(({ name }) => name)))
  expect(everywhere.map(({ time }) => time)).toEqual(everywhere.map(({ time }) => time).toSorted())
})

test('a plan says what would change and changes nothing', async () => {
  const planned = await warren.must('deploy', await hello('2.0.0'), '--all', '--batch', '1,2', '--plan', '--json')
  expect(planned.json()).toMatchObject({
    waves: [['burrow-1'], ['burrow-2', 'burrow-3']],
    nodes: [{ current: '1.0.0', change: 'replace' }, {}, {}],
  })
  expect((await rows()).map(({ version }) => version)).toEqual(['1.0.0', '1.0.0', '1.0.0'])
})

test('a new version goes out in waves, moves only what is new, and keeps the ports', async () => {
  const before = await rows()
  const lines = (
    await warren.must('deploy', await hello('2.0.0'), '--all', '--batch', '1,2', '--json')
  ).lines<DeployLine>()
  expect(endOf(lines).ok).toBe(true)
  const done = lines.flatMap(({ node, phase }) => (phase === 'done' ? [node] : []))
  expect(done[0]).toBe('burrow-1')
  const firstOfWaveTwo = lines.findIndex(({ node, phase }) => node === 'burrow-2' && phase === 'start')
  expect(firstOfWaveTwo).toBeGreaterThan(lines.findIndex(({ node, phase }) => node === 'burrow-1' && phase === 'done'))
  const after = await rows()
  expect(after.map(({ version }) => version)).toEqual(['2.0.0', '2.0.0', '2.0.0'])
  expect(after.map(({ ports }) => ports)).toEqual(before.map(({ ports }) => ports))
})

test('a broken version is rolled back where it ran and never reaches the next wave', async () => {
  const before = await rows()
  const broken = await warren.run('deploy', await hello('3.0.0'), '--all', '--batch', '1,2', '--json')
  expect(broken.code).not.toBe(0)
  const { ok, results } = endOf(broken.lines<DeployLine>())
  expect(ok).toBe(false)
  expect(results[0]).toMatchObject({
    node: 'burrow-1',
    ok: false,
    version: '2.0.0',
    reason: expect.stringMatching(/exit code 1.*last line "boom"/),
  })
  expect(results.slice(1).every(({ ok, version }) => !ok && version === '2.0.0')).toBe(true)
  const states = async () => (await rows()).map(({ version, health }) => `${version} ${health}`)
  await expect.poll(states, { interval: 100 }).toEqual(Array(3).fill('2.0.0 healthy'))
  const after = await rows()
  expect(after.slice(1).map(({ pid }) => pid)).toEqual(before.slice(1).map(({ pid }) => pid))
})

test('a daemon that is killed leaves its apps and their logs whole, and the next one takes them over', async () => {
  const counter = join(warren.folder, 'counter')
  await cp(await hello('1.0.0'), counter, { recursive: true })
  await writeFile(
    join(counter, 'manifest.yaml'),
    'name: counter\nversion: 1.0.0\nentrypoint: sh\nargs: ["-c", "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.02; done"]\n',
  )
  await warren.must('deploy', counter, '--on', 'burrow-2', '--json')
  const pidOf = async () => (await rows()).find(({ app }) => app === 'counter')?.pid
  const pid = await pidOf()
  // One through the daemon that dies, one through another.
  const followers = [['--home', home(1)], []].map((words) =>
    follow(...words, 'logs', 'counter', '-f', '-n', '1', '--json'),
  )
  await Promise.all(followers.map(({ reached }) => reached(1)))
  const status = (await warren.must('--home', home(1), 'status', '--json')).json<{ pid: number }>()
  process.kill(status.pid, 'SIGKILL')
  expect((await warren.run('--home', home(1), 'status')).err).toContain('daemon_not_running')
  process.kill(pid as number, 0)
  await warren.must('--home', home(1), 'daemon', 'start', '--json')
  expect(
    (await warren.must('--home', home(1), 'list', '--on', 'burrow-2', '--json'))
      .json<Row[]>()
      .find(({ app }) => app === 'counter'),
  ).toMatchObject({ pid, status: 'running' })
  const logs = (await warren.must('--home', home(1), 'logs', 'counter', '--json')).lines<{ line: string }>()
  const numbers = logs.map(({ line }) => Number(line.split(' ')[1]))
  expect(numbers).toEqual(numbers.map((_, index) => index + 1))
  for (const { reached, end, numbers: seen } of followers) {
    await reached((numbers.at(-1) as number) + 50)
    await end()
    expect(seen).toEqual(seen.map((_, index) => (seen[0] as number) + index))
  }
  await warren.must('--home', home(1), 'app', 'remove', 'counter', '--purge')
})

test('a command is sent on to another node, which answers as itself', async () => {
  expect((await warren.must('--node', 'burrow-3', 'status', '--json')).json()).toMatchObject({
    name: 'burrow-3',
    role: 'member',
  })
  const refused = await warren.run('--home', home(1), '--node', 'burrow-1', 'status', '--json')
  expect(refused.code).toBe(4)
  expect(refused.json()).toMatchObject({ error: { code: 'role_required', hint: expect.stringContaining('burrow-1') } })
})

test('every call goes through another node as well: nodes, list, logs and a deploy', async () => {
  const through = async (...words: string[]) => await warren.must('--node', 'burrow-2', ...words, '--json')
  const seen = (await through('nodes')).json<{ name: string; state: string }[]>()
  expect(seen.map(({ name, state }) => `${name} ${state}`)).toEqual(['burrow-1 up', 'burrow-2 self', 'burrow-3 up'])
  expect((await through('list')).json<Row[]>().map(({ node }) => node)).toEqual(nodes.map(({ name }) => name))
  const logs = (await through('logs', 'hello', '--tail', '1')).lines<{ node: string }>()
  expect(logs.map(({ node }) => node).toSorted()).toEqual(nodes.map(({ name }) => name))
  const lines = (await through('deploy', await hello('2.0.0'), '--all', '--as', 'through')).lines<DeployLine>()
  expect(endOf(lines)).toMatchObject({ ok: true, results: [{ ok: true }, { ok: true }, { ok: true }] })
  await warren.must('app', 'remove', 'through', '--all', '--purge')
})

test('a member may not deploy to others, and says who may', async () => {
  const { file } = (await warren.must('--home', home(0), 'pack', await hello('1.0.0'), '--json')).json<{
    file: string
  }>()
  const refused = await warren.run('--home', home(1), 'deploy', file, '--all', '--json')
  expect(refused.code).not.toBe(0)
  expect(refused.out).toMatch(/rollout_forbidden|role_required/)
  expect((await rows()).map(({ version }) => version)).toEqual(['2.0.0', '2.0.0', '2.0.0'])
})

test('apps are stopped, started and restarted where they are asked to', async () => {
  await warren.must('app', 'stop', 'hello', '--on', 'burrow-2')
  expect((await rows()).map(({ status }) => status)).toEqual(['running', 'stopped', 'running'])
  const before = await rows()
  await warren.must('app', 'start', 'hello', '--all')
  await warren.must('app', 'restart', 'hello', '--on', 'burrow-3')
  const after = await rows()
  expect(after.map(({ status }) => status)).toEqual(['running', 'running', 'running'])
  expect(after[0]?.pid).toBe(before[0]?.pid)
  expect(after[2]?.pid).not.toBe(before[2]?.pid)
})

test('a node that is away is unreachable, and the others stay deployed', async () => {
  await warren.must('--home', home(2), 'daemon', 'stop')
  const partly = await warren.run(
    'deploy',
    await hello('1.0.0'),
    '--all',
    '--json',
    '--retries',
    '1',
    '--retry-delay',
    '1s',
  )
  expect(partly.code).not.toBe(0)
  const { results } = endOf(partly.lines<DeployLine>())
  expect(results.slice(0, 2).map(({ ok, version }) => ({ ok, version }))).toEqual(
    Array(2).fill({ ok: true, version: '1.0.0' }),
  )
  expect(results[2]).toMatchObject({ node: 'burrow-3', ok: false, reason: expect.stringContaining('unreachable') })
  await warren.must('--home', home(2), 'daemon', 'start')
  await expect
    .poll(async () => (await rows()).map(({ version, health }) => `${version} ${health}`), {
      timeout: 30_000,
      interval: 300,
    })
    .toEqual(Array(3).fill('1.0.0 healthy'))
})

test('a package that is unsigned, changed or by a stranger is refused with what is wrong', async () => {
  const folder = join(warren.folder, 'bad')
  const pack = async (...words: string[]) =>
    (await warren.must('--home', home(0), 'pack', await hello('2.0.0'), '--output', folder, '--json', ...words)).json<{
      file: string
    }>().file
  const unsigned = await pack('--unsigned')
  expect((await warren.run('deploy', unsigned, '--all', '--json')).json()).toMatchObject({
    error: { code: 'package_unsigned', hint: expect.stringContaining('warren sign') },
  })

  const signed = await pack()
  const bytes = await readFile(signed)
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
  await writeFile(signed, bytes)
  expect((await warren.run('deploy', signed, '--all', '--json')).json()).toMatchObject({
    error: { code: expect.stringMatching(/archive|package|tampered|digest/) },
  })

  await warren.must('keygen', join(warren.folder, 'bob'))
  const strange = await pack('--key', join(warren.folder, 'bob.key'))
  const refused = await warren.run('deploy', strange, '--all')
  expect(refused.code).not.toBe(0)
  expect(refused.err).toMatch(/untrusted_key[\s\S]*Trusted: burrow-1/)
})

test('a second daemon in a home, and a port that is taken, are each named', async () => {
  const second = await warren.run('--home', home(0), 'daemon', 'run', '--json')
  expect(second.code).toBe(5)
  expect(second.json()).toMatchObject({
    error: { code: 'daemon_already_running', message: expect.stringContaining(home(0)) },
  })
  const other = join(warren.folder, 'other')
  await warren.must('--home', other, 'init', '--name', 'other')
  const address = (await warren.must('status', '--json'))
    .json<{ addresses: string[] }>()
    .addresses[0]?.split('/p2p/')[0] as string
  const taken = await warren.run('--home', other, 'daemon', 'run', '--listen', address, '--json')
  expect(taken.json()).toMatchObject({
    error: { code: 'port_in_use', message: expect.stringContaining(address.split('/').at(-1) as string) },
  })
})
