import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import {
  bootId,
  hasEnvironmentEntry,
  identityOfProcess,
  isProcessAlive,
  listProcesses,
  parseProcessStat,
} from './proc.ts'

test('a name with spaces and brackets does not shift the fields', () => {
  const rest = `S 7 8 9 ${Array.from({ length: 40 }, (_, index) => index).join(' ')}`
  expect(parseProcessStat(`42 (a) b (c) ${rest}`)).toMatchObject({ pid: 42, state: 'S', parentPid: 7, session: 9 })
  expect(parseProcessStat('')).toBeUndefined()
  expect(parseProcessStat('42 (x) S 1')).toBeUndefined()
})

test('a process is known by pid, start time and boot, and is gone once it ended', async () => {
  const child = spawn('/bin/sleep', ['100'], { env: { MARK: 'here' }, stdio: 'ignore' })
  await once(child, 'spawn')
  const identity = identityOfProcess(child.pid as number)
  expect(identity).toBeDefined()
  if (identity === undefined) return
  expect(isProcessAlive(identity)).toBe(true)
  expect(isProcessAlive({ ...identity, startTicks: '1' })).toBe(false)
  expect(isProcessAlive({ ...identity, bootId: 'another' })).toBe(false)
  expect((await listProcesses()).some((stat) => stat.pid === identity.pid)).toBe(true)
  expect(await hasEnvironmentEntry(identity.pid, 'MARK=here')).toBe(true)
  expect(await hasEnvironmentEntry(identity.pid, 'MARK=her')).toBe(false)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(isProcessAlive(identity)).toBe(false)
  expect(identity.bootId).toBe(bootId())
})
