/** For tests that run the real program, built once as ./warren does, or parts of it from the sources. */
import { join } from 'node:path'
import { buildProgram } from '../scripts/build.ts'

let built: Promise<string> | undefined

/** The path of main.js, to be run with `process.execPath`. */
export async function programPath(): Promise<string> {
  built ??= buildProgram()
  return join(await built, 'main.js')
}

/** An environment for a process that runs from the sources, which are compiled once for all of them (vitest.config.ts). */
export function compiledOnce(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }
}
