import { chmod, mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { nameFile, pathExists, readFileBounded, syncFolder } from '../base/files.ts'
import { MANIFEST_NAME, MAX_MANIFEST_BYTES, type Manifest, parseManifest } from '../bundle/index.ts'
import type { AppPackages } from './deps.ts'
import { appErrors } from './errors.ts'

/** Name of an installed version's folder: `1.4.0-7f3a09bc`. */
export function versionFolderName({ version, digest }: { version: string; digest: string }): string {
  return `${version}-${digest.slice(0, 8)}`
}

/**
 * Installs a version whole or not at all: `materialize` fills a folder beside it, which then gets the name. Does nothing
 * where it is there.
 */
export async function installVersion(
  versions: string,
  name: string,
  materialize: (folder: string) => Promise<void>,
): Promise<void> {
  const target = join(versions, name)
  if (await pathExists(target)) return
  const staging = join(versions, `.${name}.tmp`)
  await removeFolder(staging)
  await mkdir(versions, { recursive: true, mode: 0o700 })
  try {
    await materialize(staging)
    await rename(staging, target)
  } catch (error) {
    await removeFolder(staging).catch(() => undefined)
    throw nameFile(error, target)
  }
  await syncFolder(versions)
}

/** Takes away every folder of versions that is not in `names`: what a crash left half-done. */
export async function removeStrayVersions(
  versions: string,
  names: readonly string[],
  packages: Pick<AppPackages, 'list' | 'releaseTree'>,
): Promise<void> {
  for (const name of await readdir(versions).catch(() => [])) {
    if (names.includes(name)) continue
    // Beside a damaged state it is whole, and may hold the only copy of its package.
    for (const { digest, record } of (await packages.list?.()) ?? []) {
      if (versionFolderName({ version: record.version, digest }) !== name) continue
      await packages.releaseTree?.(digest, join(versions, name), { keep: true })
    }
    await removeFolder(join(versions, name))
  }
}

/** Removes a folder with all in it, also where it was made unwritable. Does nothing where there is none. */
export async function removeFolder(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => undefined)
  if (entries === undefined) return rm(folder, { recursive: true, force: true })
  await chmod(folder, 0o700)
  for (const entry of entries) if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o700)
  await rm(folder, { recursive: true, force: true })
}

/** Points `current` at a version in one step, or takes it away. For people; nothing here reads it. */
export async function pointCurrent(folder: string, versionName: string | undefined): Promise<void> {
  const link = join(folder, 'current')
  if (versionName === undefined) return rm(link, { force: true })
  const target = join('versions', versionName)
  if ((await readlink(link).catch(() => undefined)) === target) return
  const temporary = join(folder, '.current.tmp')
  await rm(temporary, { force: true })
  await symlink(target, temporary)
  await rename(temporary, link)
}

/** The manifest of an installed version. Fails with `version_not_found` where its folder is gone. */
export async function readInstalledManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST_NAME)
  const bytes = await readFileBounded(path, MAX_MANIFEST_BYTES)
  if (bytes === undefined) {
    throw appErrors.version_not_found(`${path} is missing`, { hint: 'Deploy the version again.' })
  }
  return parseManifest(bytes.toString('utf8'), path).manifest
}
