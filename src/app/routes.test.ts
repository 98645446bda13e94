import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, test } from 'vitest'
import { type Caller, createClient, createRouter } from '../api/index.ts'
import { silentLogger } from '../base/log.ts'
import type { Directory } from '../member/index.ts'
import type { Apps } from './apps.ts'
import { type AppRow, appContract } from './contract.ts'
import { appRoutes } from './routes.ts'

const row = (app: string): AppRow => ({
  node: 'burrow-1',
  app,
  version: '1.0.0',
  status: 'running',
  health: 'none',
  pid: 1,
  since: '2026-01-01T00:00:00Z',
  restarts: 0,
  ports: {},
  seen: '2026-01-01T00:00:00Z',
})

test('the list holds what the caller may see: by its role everything, by a narrowed right its own apps', async () => {
  const directory = { nodes: () => [] } as unknown as Directory
  const summaries = { rows: () => ['api', 'api-2', 'db'].map(row), current: () => undefined, stop: () => undefined }
  const router = createRouter({ routes: appRoutes({} as Apps, { directory, summaries }), log: silentLogger })
  let caller: Caller
  const server = createServer((request, response) => void router.handle(request, response, caller)).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  const client = createClient({ open: async () => connect((server.address() as AddressInfo).port, '127.0.0.1') })
  const seenBy = async (role: Caller['rights']['role'], ...apps: string[]) => {
    const grants = apps.length === 0 ? [] : [{ role: 'viewer' as const, apps, services: null, expires: null }]
    caller = { door: 'peer', id: 'p1', rights: { role, grants } }
    return (await client.call(appContract.list, {})).map(({ app }) => app)
  }
  try {
    expect(await seenBy('viewer')).toEqual(['api', 'api-2', 'db'])
    expect(await seenBy('member', 'api')).toEqual(['api'])
    expect(await seenBy('member', 'api*')).toEqual(['api', 'api-2'])
    expect(await seenBy('member', 'web')).toEqual([])
    await expect(seenBy('member')).rejects.toMatchObject({ code: 'role_required' })
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
