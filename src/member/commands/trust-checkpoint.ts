import { defineCommand } from '../../command/index.ts'
import { trustContract } from '../contract.ts'
import { phraseOptions, readRootSigner } from './phrase.ts'
import { payloadsOf, sayDraft, signAndSubmit } from './sign-root.ts'
import { countOf } from './words.ts'

export const trustCheckpointCommand = defineCommand({
  name: 'trust checkpoint',
  summary: 'Let the network forget what no longer counts',
  description:
    'Signed by the recovery phrase, which is read as in warren trust recover: of all statements so far only those that count go on to exist, on every node. Due when trust status shows the alarm roster_large. Let all admins be up and connected, so that nothing of theirs is left out.',
  options: phraseOptions,
  examples: [
    { does: 'type the phrase at the terminal', words: 'trust checkpoint' },
    { does: 'read it from a file', words: 'trust checkpoint --phrase-file /media/usb/phrase' },
  ],
  async run({ options, context }) {
    const { signal } = context
    const client = await context.connectLocal()
    const root = await readRootSigner(context, options.phraseFile)
    const before = await client.call(trustContract.status, {}, { signal })
    const payloads = payloadsOf(await client.call(trustContract.draftCheckpoint, {}, { signal }))
    await sayDraft(context, { client, payloads })
    const { held } = await signAndSubmit(client, { payloads, signers: [root], signal })
    const dropped = Math.max(0, before.statements + payloads.length - held)
    return {
      json: { held, dropped },
      human: `${countOf(held, 'statement')} left, ${dropped} dropped; every node follows when it hears of it`,
    }
  },
})
