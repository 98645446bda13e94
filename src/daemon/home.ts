import { join } from 'node:path'
import { pathExists } from '../base/files.ts'
import { findConfigFile } from '../config/index.ts'
import { daemonErrors } from './errors.ts'

/**
 * Fails with `home_not_found` where the home holds no node, before anything is written into it, and with
 * `config_not_found` where the config file that was named is not there. With a config the keys may be anywhere.
 */
export async function requireNode(home: string, configFile: string | undefined): Promise<void> {
  if ((await findConfigFile({ home, file: configFile })) !== undefined) return
  if (await pathExists(join(home, 'keys', 'node.key'))) return
  throw daemonErrors.home_not_found(`there is no node in ${home}`, {
    hint: 'Make one: warren init    (or try a lab: warren lab up)',
  })
}
