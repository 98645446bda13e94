import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { writeFileAtomic } from '../../base/files.ts'
import { bootId } from '../../base/proc.ts'
import { appErrors } from '../errors.ts'
import { type Group, type Limits, type Placement, RUN_VARIABLE } from '../placement/index.ts'
import { Run } from './run.ts'
import { LAUNCH_FILE, type Launch } from './run-files.ts'

export interface LaunchRequest {
  /** Folder of the instance's runs; each has a folder of its own in it. */
  readonly folder: string
  /** Path of the installed keeper script. */
  readonly script: string
  readonly version: string
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly limits: Limits
  readonly stdoutFile: string
  readonly stderrFile: string
  /** Ends of the logs before the first byte of this run. */
  readonly logOffsets: { readonly stdout: number; readonly stderr: number }
}

/**
 * Starts an app under a keeper and gives the run once the app's process is there. Everything that a later daemon needs
 * to find it is on disk before the process begins. Fails with `keeper_failed`; then nothing runs.
 */
export async function launch(request: LaunchRequest, deps: { placement: Placement; clock: Clock }): Promise<Run> {
  const runId = randomBytes(16).toString('hex')
  const folder = join(request.folder, runId)
  const group = await deps.placement.prepare(runId, request.limits)
  const record: Launch = {
    format: 1,
    version: request.version,
    bootId: bootId(),
    startedAtMs: deps.clock.now(),
    placement: group.kind,
    group: group.folder,
    logOffsets: request.logOffsets,
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFile(join(folder, 'running'), '')
  await writeFileAtomic(join(folder, LAUNCH_FILE), `${JSON.stringify(record)}\n`)
  const run = new Run({ id: runId, folder, launch: record, clock: deps.clock })
  run.watch()
  try {
    await spawnKeeper(request, { runId, folder, group })
    await run.begun()
    return run
  } catch (cause) {
    await run.killAll().catch(() => undefined)
    run.unwatch()
    await group.remove().catch(() => undefined)
    await rm(folder, { recursive: true, force: true })
    throw appErrors.keeper_failed(`the keeper of version ${request.version} could not be started`, { cause })
  }
}

async function spawnKeeper(
  request: LaunchRequest,
  { runId, folder, group }: { runId: string; folder: string; group: Group },
): Promise<void> {
  const stdout = await open(request.stdoutFile, 'a', 0o600)
  const stderr = await open(request.stderrFile, 'a', 0o600)
  try {
    const words = [request.script, folder, String(group.entryFiles.length), ...group.entryFiles, ...request.argv]
    const child = spawn('/bin/sh', words, {
      detached: true,
      cwd: request.cwd,
      env: { ...request.env, [RUN_VARIABLE]: runId },
      stdio: ['ignore', stdout.fd, stderr.fd],
    })
    await once(child, 'spawn')
    child.unref()
  } finally {
    await stdout.close()
    await stderr.close()
  }
}
