import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { connectLocal } from '../api/index.ts'
import { appContract } from '../app/contract.ts'
import { foldersOf, foundNetwork } from '../identity/index.ts'
import { memberContract } from '../member/contract.ts'
import { startDaemon } from './start.ts'

interface Entry {
  readonly what: string
  readonly subject: string
  readonly detail?: Readonly<Record<string, unknown>>
}

const env = { PATH: process.env.PATH }
const homes: string[] = []
afterEach(async () => {
  for (const home of homes.splice(0)) await rm(home, { recursive: true, force: true })
})

/** The home of the only node of a network. */
async function newHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'warren-start-'))
  homes.push(home)
  await foundNetwork({ ...foldersOf(home), name: 'laptop' })
  const net = { listen: [], mdns: false, gate: 'network' }
  await writeFile(join(home, 'config.yaml'), JSON.stringify({ version: 1, net, logging: { level: 'error' } }))
  return home
}

test('the audit log says by which rules a daemon ran, and when it ended', async () => {
  const home = await newHome()
  const daemon = await startDaemon({ home, configFile: undefined, env, listen: [] })
  await daemon.stop()
  const lines = (await readFile(join(home, 'audit.log'), 'utf8')).trim().split('\n')
  const entries = lines.map((line) => JSON.parse(line) as Entry)
  expect(entries.map(({ what, subject }) => `${what} ${subject}`)).toEqual([
    'audit begun',
    expect.stringMatching(/^daemon started/),
    'daemon stopped',
  ])
  expect(entries[1]?.detail).toEqual({ gate: 'network', require_signed_packages: true, max_stale_ms: 604_800_000 })
})

test('a node that is given another name calls itself so at once', async () => {
  const home = await newHome()
  const daemon = await startDaemon({ home, configFile: undefined, env, listen: [] })
  const client = await connectLocal({ home, env })
  try {
    await client.call(memberContract.rename, { params: { node: 'laptop' }, body: { name: 'shed' } })
    const status = client.call(appContract.status, { params: { app: 'x' } })
    await expect(status).rejects.toMatchObject({ message: 'no app "x" on shed' })
  } finally {
    client.close()
    await daemon.stop()
  }
})
