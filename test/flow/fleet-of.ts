/** A lab for a flow test, with small shell apps and the questions that such tests ask. */
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { connectLocal } from '../../src/api/index.ts'
import { appContract } from '../../src/app/contract.ts'
import { identityOfProcess, isProcessAlive } from '../../src/base/proc.ts'
import { appProcesses } from './app-processes.ts'
import { createWarren, type LabNode, type Result, type Warren } from './warren.ts'

export interface Row {
  readonly node: string
  readonly app: string
  readonly version: string
  readonly status: string
  readonly health: string
  readonly pid: number
}
export interface DeployEnd {
  readonly done: true
  readonly ok: boolean
  readonly timed_out: boolean
  readonly short: string
  readonly results: readonly { node: string; ok: boolean; version: string | null; reason?: string }[]
}
export interface Printed {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null }
}

export interface TestLab {
  readonly warren: Warren
  readonly nodes: readonly LabNode[]
  home(index: number): string
  nameOf(index: number): string
  /** Runs a command in a node's home. */
  run(index: number, ...words: string[]): Promise<Result>
  must(index: number, ...words: string[]): Promise<Result>
  pid(index: number): Promise<number>
  /** kill -9 of a node's daemon; it is gone then, and its apps go on. */
  kill(index: number): Promise<void>
  /** A folder with a manifest and a shell script `run`. */
  writeApp(app: string, version: string, options?: AppOptions): Promise<string>
  /** A package file, signed by the network's own key, as the first node has it. */
  pack(app: string, version: string, options?: AppOptions): Promise<string>
  /** Waits until one process of the app runs on the node, the one that `list` tells of, healthy; gives its version. */
  requireOneRuns(index: number, app: string): Promise<string>
}

export interface AppOptions {
  readonly script?: string
  /** More lines of the manifest. */
  readonly more?: string
  /** More files by name. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>
}

export const STAYS_UP = 'exec sleep 1000'

/** Brings a lab up, with more lines in the config of its first node. The caller ends it by `warren.cleanup()`. */
export async function createTestLab(count: number, config?: string): Promise<TestLab> {
  const warren = await createWarren()
  const nodes = (await warren.must('lab', 'up', '--nodes', String(count), '--json')).json<{ nodes: LabNode[] }>().nodes
  const home = (index: number) => (nodes[index] as LabNode).home
  const run = (index: number, ...words: string[]) => warren.run('--home', home(index), ...words)
  const must = (index: number, ...words: string[]) => warren.must('--home', home(index), ...words)
  const pid = async (index: number) => Number(await readFile(join(home(index), 'run', 'daemon.pid'), 'utf8'))
  const writeApp: TestLab['writeApp'] = async (app, version, { script = STAYS_UP, more = '', files = {} } = {}) => {
    const folder = join(warren.folder, `${app}-${version}`)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'manifest.yaml'), `name: ${app}\nversion: ${version}\nentrypoint: run\n${more}`)
    await writeFile(join(folder, 'run'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
    return folder
  }
  if (config !== undefined) {
    await appendFile(join(home(0), 'config.yaml'), config)
    await must(0, 'daemon', 'stop')
    await must(0, 'daemon', 'start')
  }
  return {
    warren,
    nodes,
    home,
    nameOf: (index) => (nodes[index] as LabNode).name,
    run,
    must,
    pid,
    async kill(index) {
      const killed = await pid(index)
      const identity = identityOfProcess(killed)
      process.kill(killed, 'SIGKILL')
      await expect.poll(() => identity !== undefined && isProcessAlive(identity)).toBe(false)
    },
    writeApp,
    async pack(app, version, options) {
      const folder = await writeApp(app, version, options)
      return (await must(0, 'pack', folder, '--output', warren.folder, '--json')).json<{ file: string }>().file
    },
    async requireOneRuns(index, app) {
      const client = await connectLocal({ home: home(index), env: warren.env })
      const own = async () => {
        const rows = await client.call(appContract.list, { query: { on: [(nodes[index] as LabNode).name] } })
        return rows.find((row) => row.app === app)
      }
      await expect.poll(own, { interval: 50 }).toMatchObject({ status: 'running', health: 'healthy' })
      const row = await own()
      client.close()
      expect(await appProcesses(home(index), app)).toEqual([{ pid: row?.pid, version: row?.version }])
      return row?.version as string
    },
  }
}

/** The last line of a deploy or watch. */
export const endOf = (result: Result): DeployEnd => result.lines<DeployEnd>().at(-1) as DeployEnd

/** The error that a command printed. */
export const errorOf = (result: Result): Printed['error'] => result.json<Printed>().error

interface RolloutRow {
  readonly short: string
  readonly state: string
  readonly app: string
}

/** The newest rollout of an app, as a node knows it. */
export async function newestRollout(lab: TestLab, index: number, app: string): Promise<RolloutRow> {
  const rows = (await lab.must(index, 'rollout', 'list', '--json')).json<RolloutRow[]>()
  return rows.find((row) => row.app === app) as RolloutRow
}

/** Waits until the newest rollout of an app is over, as a node sees it, and gives its end. */
export async function settledRollout(lab: TestLab, index: number, app: string): Promise<string> {
  const { short } = await newestRollout(lab, index, app)
  const watched = await lab.run(index, 'rollout', 'watch', short, '--timeout', '60s', '--json')
  return watched.lines<{ state: string }>().at(-1)?.state as string
}
