import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { expect, test } from 'vitest'

/** Which of 3 and 100, both left open for it, a process's own child finds open. */
async function leftToChild(first: string): Promise<string> {
  const file = openSync(import.meta.filename, 'r')
  try {
    const program = `
      const { closeInherited } = await import(${JSON.stringify(import.meta.resolve('./descriptors.ts'))})
      const { spawnSync } = await import('node:child_process')
      ${first}
      const words = ['-c', 'for fd in 3 100; do [ -e /proc/self/fd/$fd ] && echo $fd; done']
      spawnSync('/bin/sh', words, { stdio: ['ignore', 'inherit', 'inherit'] })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit', file, ...Array.from({ length: 96 }, () => 'ignore' as const), file],
    })
    return Buffer.concat(await (child.stdout as Readable).toArray()).toString()
  } finally {
    closeSync(file)
  }
}

test('what was left open for a process does not reach the processes that it starts', async () => {
  expect(await leftToChild('')).toBe('100\n')
  expect(await leftToChild('closeInherited()')).toBe('')
})
