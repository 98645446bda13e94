/** What `warren doctor` finds, in good state and in bad, with a daemon and without. */
import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePorts } from '../free-ports.ts'
import { createWarren, type Warren } from './warren.ts'

interface Check {
  readonly name: string
  readonly outcome: string
  readonly message: string
  readonly hint?: string
}

let warren: Warren

let port: number

beforeAll(async () => {
  warren = await createWarren()
  ;[port] = (await freePorts(1)) as [number]
  Object.assign(warren.env, { WARREN_NET_LISTEN: `/ip4/127.0.0.1/tcp/${port}`, WARREN_NET_MDNS: 'false' })
})
afterAll(async () => {
  await warren?.run('daemon', 'stop')
  await warren?.cleanup()
})

/** The findings by name, and the exit code. */
async function examine(): Promise<{ code: number; checks: Map<string, Check> }> {
  const ran = await warren.run('doctor', '--json')
  const checks = ran.json<Check[]>()
  return { code: ran.code, checks: new Map(checks.map((check) => [check.name, check])) }
}

test('without a node it says so, and how to get one', async () => {
  const { code, checks } = await examine()
  expect(code).toBe(1)
  expect(checks.get('config')).toMatchObject({ outcome: 'failed', hint: expect.stringContaining('warren init') })
})

test('a node that runs is well, and what it lacks is named', async () => {
  await warren.must('init', '--name', 'pi')
  await warren.must('daemon', 'start')
  const { code, checks } = await examine()
  expect([...checks.values()].filter(({ outcome }) => outcome === 'failed')).toEqual([])
  expect(code).toBe(0)
  expect(checks.get('identity')?.message).toMatch(/^pi, admin, 12D3Koo/)
  for (const name of ['permissions', 'ports', 'roster', 'disk']) {
    expect([name, checks.get(name)?.outcome]).toEqual([name, 'ok'])
  }
  expect(checks.get('peers')).toMatchObject({ outcome: 'skipped', hint: expect.stringContaining('warren invite') })
})

test('a key that others can read is named with the command that mends it', async () => {
  const key = join(warren.folder, 'home', 'keys', 'node.key')
  await chmod(key, 0o644)
  const { code, checks } = await examine()
  expect(code).toBe(1)
  expect(checks.get('permissions')).toMatchObject({ outcome: 'failed', hint: `chmod 600 ${key}` })
  await chmod(key, 0o600)
  expect((await examine()).code).toBe(0)
})

test('without a daemon it looks at the home, and finds who has the port', async () => {
  await warren.must('daemon', 'stop')
  const other = createServer().listen(port, '127.0.0.1')
  await once(other, 'listening')
  try {
    const { code, checks } = await examine()
    expect(code).toBe(1)
    expect(checks.get('daemon')).toMatchObject({
      outcome: 'failed',
      hint: expect.stringContaining('warren daemon start'),
    })
    expect(checks.get('ports')).toMatchObject({ outcome: 'failed', hint: expect.stringContaining(`:${port}`) })
    expect(checks.get('identity')?.outcome).toBe('ok')
  } finally {
    other.close()
  }
  expect((await examine()).checks.get('ports')?.outcome).toBe('ok')
})
