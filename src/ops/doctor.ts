import { access, constants, statfs } from 'node:fs/promises'
import { type Check, type Finding, lookAt } from '../base/check.ts'

/** Room that an update of a large app needs, unpacked beside the old one. */
const WARN_BELOW_BYTES = 1024 ** 3
/** Below it the daemon's own files are soon at risk. */
const FAIL_BELOW_BYTES = 64 * 1024 ** 2
const TUN = '/dev/net/tun'

/** Looks at what the machine gives: room on the disk of `folder`, and the device that tunnels need. */
export async function checkMachine(folder: string): Promise<Check[]> {
  return [await lookAt('disk', () => checkDisk(folder)), await lookAt('tap', checkTap)]
}

async function checkDisk(folder: string): Promise<Finding> {
  const { bavail, bsize, blocks } = await statfs(folder)
  const freeBytes = bavail * bsize
  const share = blocks === 0 ? 0 : Math.round((100 * bavail) / blocks)
  const message = `${(freeBytes / 1024 ** 3).toFixed(1)} GiB free (${share} %) where ${folder} is`
  const hint = 'See what takes room: warren packages    and remove what no app needs: warren package remove PACKAGE'
  if (freeBytes < FAIL_BELOW_BYTES) return { outcome: 'failed', message, hint }
  if (freeBytes < WARN_BELOW_BYTES) return { outcome: 'warning', message, hint }
  return { outcome: 'ok', message }
}

async function checkTap(): Promise<Finding> {
  try {
    await access(TUN, constants.R_OK | constants.W_OK)
    return { outcome: 'ok', message: `${TUN} can be opened` }
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    return {
      outcome: 'skipped',
      message: isMissing ? `there is no ${TUN}: no tunnels on this machine` : `${TUN} is not open to this user`,
      hint: isMissing ? 'modprobe tun' : 'Tunnels need root, or a device that root has made for this user.',
    }
  }
}
