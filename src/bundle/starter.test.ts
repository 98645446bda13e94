import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeStarter } from './starter.ts'

test('the starter app says goodbye and ends with 0 when its whole group is asked to stop, as a node does it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'warren-starter-'))
  try {
    await writeStarter(folder)
    // How the signal meets the shell and its sleep differs from run to run.
    const ends = await Promise.all(Array.from({ length: 8 }, () => stopAfterHello(folder)))
    expect(ends).toEqual(ends.map(() => ({ code: 0, last: 'goodbye' })))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

async function stopAfterHello(folder: string): Promise<{ code: number | null; last: string | undefined }> {
  const app = spawn(join(folder, 'run.sh'), { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(app, 'close') as Promise<[number | null]>
  let said = ''
  for (const stream of [app.stdout, app.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      if (said === '') process.kill(-(app.pid as number), 'SIGTERM')
      said += bytes.toString()
    })
  }
  const [code] = await ended
  return { code, last: said.trim().split('\n').at(-1) }
}
