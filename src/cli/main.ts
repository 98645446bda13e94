/**
 * cli: the program's front door. It names the commands of every folder (entries.ts), hands the words to the command-line
 * kit, and turns signals into cancellation.
 *
 * It is started and never imported. It never holds a command's work: that stands beside its noun, in the folder's
 * `commands/`.
 *
 * ```sh
 * node main.js deploy ./api --on site=home
 * ```
 */
import { WarrenError } from '../base/errors.ts'
import { version } from '../base/version.ts'
import { runWords } from '../command/index.ts'
import { commandEntries, firstLabHome, startTokenNode } from './entries.ts'

const stop = new AbortController()
const cancel = (): void => {
  // The second signal means it: whatever still waits is left behind.
  if (stop.signal.aborted) process.exit(130)
  stop.abort(new WarrenError('cancelled', 408, 'stopped by a signal'))
}
process.on('SIGINT', cancel)
process.on('SIGTERM', cancel)
// A log that cannot be written, on a full disk or a closed pipe, must not end the daemon that it tells of.
process.stderr.on('error', () => undefined)
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
})

process.exitCode = await runWords(
  {
    entries: commandEntries,
    version: `warren ${version}`,
    fallbackHome: firstLabHome,
    tokenNode: startTokenNode,
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    program: [process.execPath, ...process.execArgv, process.argv[1] as string],
    signal: stop.signal,
  },
  process.argv.slice(2),
)
