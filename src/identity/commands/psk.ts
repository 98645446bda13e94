import { resolve } from 'node:path'
import { defineCommand, text } from '../../command/index.ts'
import { createNetworkKey, generateNetworkKey } from '../network-key.ts'

/** `warren psk` */
export const pskCommand = defineCommand({
  name: 'psk',
  summary: 'Make a network key',
  description:
    'A node answers only peers that prove that they hold the same network key: 32 random bytes as 64 hex digits,\n' +
    'kept in keys/network.key. warren init makes one by itself.',
  options: {
    output: text({ value: 'FILE', description: 'write it to a new file (mode 0600) instead of standard output' }),
  },
  examples: [
    { does: 'print a fresh key', words: 'psk' },
    { does: 'write it to a file that only you can read', words: 'psk --output network.key' },
  ],
  run: async ({ options, context }) => {
    if (options.output === undefined) {
      const networkKey = generateNetworkKey()
      return { json: { network_key: networkKey }, human: networkKey }
    }
    const file = resolve(context.cwd, options.output)
    await createNetworkKey(file)
    return { json: { file }, human: file }
  },
})
