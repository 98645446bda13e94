/** For tests that run the real program: builds it as ./warren does, once. */
import { join } from 'node:path'
import { buildProgram } from '../scripts/build.ts'

let built: Promise<string> | undefined

/** The path of main.js, to be run with `process.execPath`. */
export async function programPath(): Promise<string> {
  built ??= buildProgram()
  return join(await built, 'main.js')
}
