import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import type { Apps } from '../apps.ts'
import type { AppsDeps } from '../deps.ts'
import type { SwitchOutcome } from '../switch.ts'
import type { Trial } from '../trial.ts'
import { addTestPackage, createTestApps, TEST_TRIAL } from './test-node.ts'

/** A program that says its version and stays. */
export const STAYS_UP = 'echo "version $WARREN_VERSION"; exec sleep 1000'

/** One node's apps, made anew for each test of a file, and taken away with all that runs. */
export interface TestNode {
  readonly home: string
  readonly apps: Apps
  /** Another daemon; the one before must have been stopped, or be dead. */
  open(more?: Partial<AppsDeps>): Promise<void>
  reopen(more?: Partial<AppsDeps>): Promise<void>
  deploy(
    version: string,
    script?: string,
    options?: { more?: string; instance?: string; trial?: Trial },
  ): Promise<SwitchOutcome>
  /** All lines of an app so far. */
  lines(instance?: string): Promise<string[]>
}

/** Called at the top of a test file. */
export function useApps(): TestNode {
  const { signal } = new AbortController()
  let home = ''
  let apps: Apps | undefined
  const opened: Apps[] = []
  const node: TestNode = {
    get home() {
      return home
    },
    get apps() {
      if (apps === undefined) throw new Error('no test is running')
      return apps
    },
    open: async (more = {}) => {
      apps = createTestApps(home, more)
      opened.push(apps)
      await apps.start()
    },
    reopen: async (more = {}) => {
      await node.apps.stop()
      await node.open(more)
    },
    deploy: async (version, script = STAYS_UP, { more = '', instance = 'hello', trial = TEST_TRIAL } = {}) => {
      const digest = await addTestPackage(home, { version, script, more })
      return node.apps.deploy({ instance, digest, trial }, { signal })
    },
    lines: async (instance = 'hello') => {
      const read: string[] = []
      for await (const { line } of node.apps.logs({ instance, signal })) read.push(line)
      return read
    },
  }
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'warren-apps-'))
    await node.open()
  })
  afterEach(async () => {
    for (const { app } of node.apps.list()) await node.apps.removeApp(app, { purge: true })
    for (const each of opened.splice(0)) await each.stop()
    await rm(home, { recursive: true, force: true })
  })
  return node
}
