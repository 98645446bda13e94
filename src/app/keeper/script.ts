import { join } from 'node:path'
import { readFileBounded, writeFileAtomic } from '../../base/files.ts'

/** Raised with every change of the text: keepers of an older one go on reading the file that they were started from. */
const KEEPER_VERSION = 1

/**
 * The keeper. Called as `sh keeper-v1.sh RUN_FOLDER N GROUP_FILE… PROGRAM ARGUMENT…`, in a session of its own, in the
 * app's working folder, with the app's environment and with its output already open for appending. It stays outside the
 * app's group. A subshell enters the N groups, writes its line of /proc/self/stat and becomes the app. The exit code is
 * kept in a name, by one rename, which needs no space on a full disk. 125 says that the app was never begun.
 */
export const KEEPER_SCRIPT = `# Warren's keeper, version ${KEEPER_VERSION}: starts an app and records its exit. See src/app/keeper in Warren's source.
umask 077
trap '' HUP INT TERM PIPE
run=$1 groups=$2
shift 2
exec 3>&2 2>/dev/null
(
  exec 2>&3 3>&-
  trap - HUP INT TERM PIPE
  while [ "$groups" -gt 0 ]; do
    echo 0 >"$1" || exit 125
    shift
    groups=$((groups - 1))
  done
  read -r stat </proc/self/stat && echo "$stat" >"$run/pid" || exit 125
  exec "$@"
)
code=$?
command -p mv "$run/running" "$run/exit.$code"
`

/** Writes the script into the folder of the keepers, unless it is there, and gives its path. */
export async function installKeeperScript(folder: string): Promise<string> {
  const path = join(folder, `keeper-v${KEEPER_VERSION}.sh`)
  const present = await readFileBounded(path, 64 * 1024).catch(() => undefined)
  if (present?.toString('utf8') !== KEEPER_SCRIPT) await writeFileAtomic(path, KEEPER_SCRIPT, { mode: 0o500 })
  return path
}
