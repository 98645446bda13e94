import { appCommands, appNames } from '../app/commands/index.ts'
import { auditCommands } from '../audit/commands/index.ts'
import { bundleCommands } from '../bundle/commands/index.ts'
import { completionCommands } from '../command/commands/index.ts'
import type { CommandEntry } from '../command/index.ts'
import { configCommands } from '../config/commands/index.ts'
import { configSections, daemonCommands, startDaemon, startTokenNode } from '../daemon/commands/index.ts'
import { identityCommands } from '../identity/commands/index.ts'
import { firstLabHome, labCommands } from '../lab/commands/index.ts'
import { joinCommands, memberCommands, nodeNames } from '../member/commands/index.ts'
import { netCommands } from '../net/commands/index.ts'
import { relayCommands } from '../relay/commands/index.ts'
import { rolloutCommands } from '../rollout/commands/index.ts'
import { serviceCommands } from '../service/commands/index.ts'
import { transferCommands } from '../transfer/commands/index.ts'

/** The commands of the program by folder, in the order in which the help shows them. */
export const commandsByFolder: Readonly<Record<string, readonly CommandEntry[]>> = {
  lab: labCommands,
  daemon: daemonCommands,
  member: [...joinCommands({ sections: configSections, startDaemon }), ...memberCommands],
  net: netCommands,
  relay: relayCommands,
  bundle: bundleCommands,
  transfer: transferCommands,
  rollout: rolloutCommands,
  app: appCommands,
  service: serviceCommands,
  identity: identityCommands,
  audit: auditCommands,
  config: configCommands(configSections),
  command: completionCommands(
    () => commandEntries,
    async (kind, { node }, context) => {
      const client = node === undefined ? await context.connect() : await context.connectTo(node)
      return kind === 'node' ? await nodeNames(client) : await appNames(client)
    },
  ),
}

/** All commands of the program. */
export const commandEntries: readonly CommandEntry[] = Object.values(commandsByFolder).flat()

export { firstLabHome, startTokenNode }
