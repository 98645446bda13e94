import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * Gives the space of a range of a file back to the file system, without touching its size or who writes to it. False
 * where the file system, or the machine, cannot. Node has no call for it, so `fallocate` of util-linux does it.
 */
export async function punchHole(path: string, offset: number, length: number): Promise<boolean> {
  try {
    await run('fallocate', ['--punch-hole', '--offset', String(offset), '--length', String(length), path])
    return true
  } catch {
    return false
  }
}
