import { join } from 'node:path'
import { pathExists } from '../base/files.ts'
import { daemonErrors } from './errors.ts'

/**
 * Fails with `home_not_found` where the home holds no node, before anything is written into it. With a config file of
 * its own the keys may be anywhere, so that nothing can be said yet.
 */
export async function requireNode(home: string, configFile: string | undefined): Promise<void> {
  if (configFile !== undefined) return
  for (const name of ['config.yaml', join('keys', 'node.key')]) if (await pathExists(join(home, name))) return
  throw daemonErrors.home_not_found(`there is no node in ${home}`, {
    hint: 'Make one: warren init    (or try a lab: warren lab up)',
  })
}
