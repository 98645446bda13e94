import { defineCommand } from '../../command/index.ts'
import { trustContract } from '../contract.ts'

export const trustExportCommand = defineCommand({
  name: 'trust export',
  summary: 'Everything that the admins have signed, for a node that cannot be reached',
  description:
    'One signed statement a line; they hold no secret. With warren trust import another node of the network takes them in: where a thief has removed everybody, no node lets the recovery of another one in, and it must be carried there.',
  examples: [
    { does: 'write them to a file', words: 'trust export > statements' },
    { does: 'to another machine at once', words: 'trust export | ssh pi warren trust import -' },
  ],
  async *run({ context }) {
    const client = await context.connect()
    for await (const { envelope } of client.stream(trustContract.export, {}, { signal: context.signal })) {
      yield { json: JSON.parse(envelope) as unknown, human: envelope }
    }
  },
})
