import { createHash } from 'node:crypto'
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { EventBus } from '../../base/events.ts'
import { silentLogger } from '../../base/log.ts'
import { hasEnvironmentEntry, listProcesses } from '../../base/proc.ts'
import { MANIFEST_NAME, parseManifest } from '../../bundle/index.ts'
import type { Apps } from '../apps.ts'
import type { AppEvents, AppPackages, AppsDeps } from '../deps.ts'
import { createApps } from '../node-apps.ts'
import type { Trial } from '../trial.ts'

/** Short enough for a test, long enough for a shell to fail in. */
export const TEST_TRIAL: Trial = { minHealthyMs: 150, probeIntervalMs: 20, deadlineMs: 20_000 }
/** For a version that ends by itself: it has all the time that it needs for that on a busy machine. */
export const BAD_TRIAL: Trial = { ...TEST_TRIAL, minHealthyMs: 20_000, deadlineMs: 60_000 }

/** A store of packages that are plain folders, for tests of what is done with them. */
export function createTestPackages(home: string): AppPackages {
  const folderOf = (digest: string): string => join(home, 'test-packages', digest)
  return {
    get: async (digest) => {
      const text = await readFile(join(folderOf(digest), MANIFEST_NAME), 'utf8').catch(() => undefined)
      if (text === undefined) return undefined
      const { manifest } = parseManifest(text, MANIFEST_NAME)
      return { digest, record: { name: manifest.name, version: manifest.version }, manifest, complete: true }
    },
    materialize: async (digest, folder) => {
      await cp(folderOf(digest), folder, { recursive: true })
      await chmod(folder, 0o500)
    },
  }
}

/** Puts a package into the store: a shell script, and what the manifest says beside name, version and entrypoint. */
export async function addTestPackage(
  home: string,
  { version, script, more = '' }: { version: string; script: string; more?: string },
): Promise<string> {
  const manifest = `name: hello\nversion: "${version}"\nentrypoint: run.sh\n${more}`
  const digest = createHash('sha256').update(manifest).update(script).digest('hex')
  const folder = join(home, 'test-packages', digest)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, MANIFEST_NAME), manifest)
  await writeFile(join(folder, 'run.sh'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return digest
}

/** Apps on a real home folder. */
export function createTestApps(home: string, more: Partial<AppsDeps> = {}): Apps {
  return createApps({
    home,
    packages: createTestPackages(home),
    clock: systemClock,
    log: silentLogger,
    counters: new Counters(),
    events: new EventBus<AppEvents>(),
    nodeName: 'burrow-1',
    path: '/usr/local/bin:/usr/bin:/bin',
    stopGraceMs: 2000,
    logs: { maxBytes: 1_000_000, files: 5 },
    keepVersions: 5,
    ...more,
  })
}

/** Pids of all processes of an instance on that home, keepers left out. */
export async function processesOf(home: string, instance: string): Promise<number[]> {
  const found: number[] = []
  for (const { pid, session } of await listProcesses()) {
    if (!(await hasEnvironmentEntry(pid, `WARREN_DATA=${join(home, 'apps', instance, 'data')}`))) continue
    const words = (await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')).split('\0')
    // A keeper leads its session; its subshell, which is about to become the app, has the same words and does not.
    const isKeeper = pid === session && /keeper-v\d+\.sh$/.test(words[1] ?? '')
    if (!isKeeper) found.push(pid)
  }
  return found
}
