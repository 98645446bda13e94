import { defineCommand, flag } from '../../command/index.ts'
import { trustContract } from '../contract.ts'
import { confirmAtTerminal } from './terminal.ts'

export const trustAcceptHeadCommand = defineCommand({
  name: 'trust accept-head',
  summary: 'Say that nothing that this admin has signed is missing in its home',
  description:
    'A home that was restored from a backup signs nothing until it has compared rosters with a peer: going on from an older statement would freeze the log of this admin for good. Say so yourself only where no other node can be asked.',
  options: { yes: flag({ short: 'y', description: 'do not ask' }) },
  examples: [{ does: 'the only node of its network was restored', words: 'trust accept-head' }],
  async run({ options, context }) {
    const client = await context.connectLocal()
    const question = 'Is nothing that this node has signed missing here? A mistake freezes its log for good.'
    if (!options.yes) await confirmAtTerminal(context, question)
    const { seq } = await client.call(trustContract.acceptHead, {}, { signal: context.signal })
    return { json: { seq }, human: `this node goes on after its statement ${seq}` }
  },
})
