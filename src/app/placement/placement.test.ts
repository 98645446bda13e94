import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { pathExists } from '../../base/files.ts'
import { readProcessStat } from '../../base/proc.ts'
import { type Group, openGroup, type PlacementKind, pickPlacement, RUN_VARIABLE } from './index.ts'

const started: number[] = []
afterEach(() => {
  for (const pid of started.splice(0)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended, as it should.
    }
  }
})

/** A tree whose members leave the session, the parent and the process group, as daemons do. */
const TREE = `
  setsid sh -c '(setsid sleep 300 & setsid sh -c "sleep 301 & sleep 302" &) ; trap "" TERM; sleep 303' &
  sleep 304 & wait`

async function startTree(group: Group, runId: string): Promise<void> {
  const enter = group.entryFiles.map((file) => `echo 0 >"${file}" && `).join('')
  const child = spawn('/bin/sh', ['-c', `${enter} exec sh -c '${TREE.replaceAll("'", "'\\''")}'`], {
    stdio: 'ignore',
    detached: true,
    env: { PATH: process.env.PATH ?? '', [RUN_VARIABLE]: runId },
  })
  if (child.pid !== undefined) started.push(child.pid)
  await expect.poll(() => sleepers(group)).toBe(5)
}

async function sleepers(group: Group): Promise<number> {
  const names = await Promise.all(
    (await group.members()).map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')),
  )
  return names.filter((name) => name === 'sleep\n').length
}

// Where the machine has no writable cgroups of a kind, that kind is not picked and has nothing to show.
const kinds: PlacementKind[] = []
for (const kind of ['none', 'cgroup-v1', 'cgroup-v2'] as const) {
  if ((await pickPlacement(kind)).kind === kind) kinds.push(kind)
}

test('what is picked is one that works here', async () => {
  expect(kinds).toContain((await pickPlacement()).kind)
})

describe.each(kinds)('%s', (kind) => {
  test('all of a tree is found, stopped, and killed, also by a daemon that opens the group later', async () => {
    const placement = await pickPlacement(kind)
    const runId = randomBytes(16).toString('hex')
    const group = await placement.prepare(runId, {})
    await startTree(group, runId)
    const pids = await group.members()
    for (const pid of pids) started.push(pid)

    await group.freeze()
    await group.freeze()
    if (kind === 'none') expect(pids.map((pid) => readProcessStat(pid)?.state)).toEqual(pids.map(() => 'T'))
    await group.thaw()

    const again = openGroup(group.kind, group.folder, runId)
    expect((await again.members()).sort()).toEqual([...pids].sort())
    await again.kill()
    await expect.poll(async () => (await again.members()).length).toBe(0)
    await expect.poll(() => pids.filter((pid) => !['Z', undefined].includes(readProcessStat(pid)?.state))).toEqual([])
    await again.remove()
    await again.remove()
    if (group.folder !== null) expect(await pathExists(group.folder)).toBe(false)
    expect(await again.members()).toEqual([])
    await again.thaw()
  })
})
