import { closeSync, readdirSync, readFileSync } from 'node:fs'

const CLOSE_ON_EXEC = 0o2000000

/**
 * Closes what whoever started this process had left open for it and its children would inherit in turn, to hold a
 * secret file or somebody's pipe open for as long as they run. Node itself keeps back 0 to 15 and what follows without
 * a gap. Call it first of all. Linux only: it goes by the missing close-on-exec flag (proc_pid_fdinfo(5)).
 */
export function closeInherited(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const descriptor = Number(name)
    if (descriptor > 2 && isInherited(descriptor)) closeSync(descriptor)
  }
}

function isInherited(descriptor: number): boolean {
  try {
    const [, flags] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8')) ?? []
    return flags !== undefined && (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0
  } catch {
    // It was that of reading the list.
    return false
  }
}
