import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { foldersOf, foundNetwork } from '../identity/index.ts'
import { startDaemon } from './start.ts'

interface Entry {
  readonly what: string
  readonly subject: string
  readonly detail?: Readonly<Record<string, unknown>>
}

test('the audit log says by which rules a daemon ran, when its lists changed, and when it ended', async () => {
  const home = await mkdtemp(join(tmpdir(), 'warren-start-'))
  try {
    await foundNetwork({ ...foldersOf(home), name: 'laptop' })
    const net = { listen: [], mdns: false, gate: 'network' }
    await writeFile(join(home, 'config.yaml'), JSON.stringify({ version: 1, net, logging: { level: 'error' } }))
    const daemon = await startDaemon({ home, configFile: undefined, env: { PATH: process.env.PATH }, listen: [] })
    await daemon.stop()
    const lines = (await readFile(join(home, 'audit.log'), 'utf8')).trim().split('\n')
    const entries = lines.map((line) => JSON.parse(line) as Entry)
    expect(entries.map(({ what, subject }) => `${what} ${subject}`)).toEqual([
      'audit begun',
      expect.stringMatching(/^daemon started/),
      'daemon stopped',
    ])
    expect(entries[1]?.detail).toEqual({ gate: 'network', require_signed_packages: true, max_stale_ms: 604_800_000 })
  } finally {
    await rm(home, { recursive: true, force: true })
  }
})
