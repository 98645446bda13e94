import { mkdir, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pathExists, writeFileAtomic } from '../base/files.ts'
import { bundleErrors } from './errors.ts'
import { MANIFEST_NAME } from './manifest.ts'
import { NAME_PATTERN } from './manifest-schema.ts'

/**
 * Writes a small app that packs and runs as it is, named after its folder (`app` where the folder's name gives none).
 * Fails with `starter_exists` where one of its files is already there; then nothing is written.
 */
export async function writeStarter(folder: string): Promise<{ name: string; files: string[] }> {
  const name = nameFrom(basename(folder))
  const files = [
    { path: MANIFEST_NAME, text: manifestText(name), mode: 0o644 },
    { path: 'run.sh', text: SCRIPT, mode: 0o755 },
    { path: 'README.md', text: readmeText(name), mode: 0o644 },
  ]
  for (const { path } of files) {
    if (!(await pathExists(join(folder, path)))) continue
    throw bundleErrors.starter_exists(`${join(folder, path)} is already there`, {
      hint: 'Give another folder: warren init app FOLDER',
    })
  }
  await mkdir(folder, { recursive: true })
  const written: string[] = []
  try {
    for (const { path, text, mode } of files) {
      await writeFileAtomic(join(folder, path), text, { mode })
      written.push(path)
    }
  } catch (error) {
    for (const path of written) await unlink(join(folder, path)).catch(() => undefined)
    throw error
  }
  return { name, files: written }
}

function nameFrom(folderName: string): string {
  const name = folderName
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '')
  return NAME_PATTERN.test(name) ? name : 'app'
}

function manifestText(name: string): string {
  return `# What Warren needs to know about this app. All keys: docs/manifest.md
name: ${JSON.stringify(name)}
version: 1.0.0
description: A starter app that says hello and stays

# A path in this folder, or a program on the node's PATH such as node or python3.
entrypoint: ./run.sh
args: []

env:
  GREETING: hello

# A port that Warren chooses and keeps; the app finds it in PORT and PORT_WEB.
# ports:
#   web: auto

# The default: the app is healthy while its process lives. With a port, ask it:
# health_check:
#   type: http
#   http_path: /
`
}

const SCRIPT = `#!/bin/sh
# Warren starts this in the app's folder. What it prints is the app's log: warren logs
set -eu

# Asked to stop, end within a second.
trap 'echo goodbye; exit 0' TERM INT

echo "\${GREETING:-hello} from \${WARREN_NODE:-this machine}, version \${WARREN_VERSION:-unpacked}"

seconds=0
while :; do
  # A stop ends the sleep, too; the shell need not say so.
  { sleep 1 || :; } 2>/dev/null
  seconds=$((seconds + 1))
  [ $((seconds % 60)) -ne 0 ] || echo "still here"
done
`

function readmeText(name: string): string {
  return `# ${name}

A starter app for Warren: \`manifest.yaml\` says what it is, \`run.sh\` is what runs.

\`\`\`
warren run .                    # pack, sign, deploy to this node, follow the log
warren pack .                   # ${name}-1.0.0.tar.gz and its signature
warren deploy ${name}-1.0.0.tar.gz --all
warren logs ${name} --follow
\`\`\`

Raise \`version\` with each release. Put what must not be packed into \`.warrenignore\`.
`
}
