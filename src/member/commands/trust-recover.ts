import type { ApiClient } from '../../api/index.ts'
import { baseErrors, toWarrenError, WarrenError } from '../../base/errors.ts'
import { type CommandContext, defineCommand, flag, list, printable, type StreamLine } from '../../command/index.ts'
import { generateRecoveryPhrase, rootSignerOf } from '../../identity/index.ts'
import { trustContract } from '../contract.ts'
import { describeLeftBehind } from './left-behind.ts'
import { phraseOptions, readRootSigner } from './phrase.ts'
import { payloadsOf, sayDraft, signAndSubmit } from './sign-root.ts'

export const trustRecoverCommand = defineCommand({
  name: 'trust recover',
  summary: 'Make this node an admin by the recovery phrase, and put thieves out',
  description:
    'For when the admins are lost, or one was stolen. The phrase is read from the terminal without being shown, or from standard input; it is used in this process alone and never reaches the daemon. NODE@SEQ keeps what that admin signed up to there (see warren trust log); without it all that was known of it so far counts. The network key is changed. After --new-phrase make a checkpoint: warren trust checkpoint',
  options: {
    remove: list({ value: 'NODE[@SEQ]', description: 'remove this node or admin for good; may repeat' }),
    newPhrase: flag({ description: 'also change the root key; the new recovery phrase is shown once' }),
    ...phraseOptions,
  },
  examples: [
    { does: 'all admins are lost: this node becomes one', words: 'trust recover' },
    { does: 'laptop was stolen', words: 'trust recover --remove laptop' },
    { does: 'what it signed after its 41st statement is not to count', words: 'trust recover --remove laptop@41' },
    { does: 'somebody may have seen the phrase', words: 'trust recover --new-phrase' },
  ],
  run: ({ options, context }) => recover(context, options),
})

interface RecoverOptions {
  readonly remove: readonly string[]
  readonly newPhrase: boolean
  readonly phraseFile: string | undefined
}

/** A stream, so that a new phrase is shown before it counts: an answer that is lost must not lose it. */
async function* recover(context: CommandContext, options: RecoverOptions): AsyncGenerator<StreamLine> {
  const { signal, style } = context
  const thieves = options.remove.map(parseThief)
  const client = await context.connectLocal()
  const root = await readRootSigner(context, options.phraseFile)
  const phrase = options.newPhrase ? generateRecoveryPhrase() : undefined
  const next = phrase === undefined ? undefined : rootSignerOf(phrase)
  const body = {
    remove: thieves,
    ...(next === undefined ? {} : { new_root: Buffer.from(next.publicKey).toString('base64') }),
  }
  const draft = await client.call(trustContract.draftRecovery, { body }, { signal })
  const payloads = payloadsOf(draft)
  await sayDraft(context, { client, payloads })
  if (phrase !== undefined) {
    yield {
      json: { recovery_phrase: phrase },
      human: `New recovery phrase. Write it down: it is shown this once, and kept nowhere.\n\n  ${style.bold(phrase)}\n`,
    }
  }
  const signers = next === undefined ? [root] : [root, next]
  const { statements } = await signAndSubmit(client, { payloads, signers, signal })
  yield { json: { admin: draft.admin, statements }, human: 'this node is an admin of its network' }
  yield await finish(client, { context, thieves: draft.remove, newRoot: phrase !== undefined })
}

interface Finish {
  readonly context: CommandContext
  readonly thieves: readonly { readonly id: string; readonly name: string }[]
  readonly newRoot: boolean
}

async function finish(client: ApiClient, { context, thieves, newRoot }: Finish): Promise<StreamLine> {
  const remove = thieves.map(({ id }) => id)
  try {
    const done = await client.call(trustContract.finishRecovery, { body: { remove } }, { signal: context.signal })
    const gone = thieves.map(({ name }) => `${printable(name)} was removed for good; `).join('')
    const next = newRoot ? '\nNext, so that the old phrase can do no harm: warren trust checkpoint' : ''
    const left = await describeLeftBehind(client, { admins: thieves, signal: context.signal })
    const more = left === undefined ? '' : `\n${left}`
    return { json: done, human: `${gone}the network key is now number ${done.network_key}${more}${next}`, exitCode: 0 }
  } catch (thrown) {
    const { code, status, message } = toWarrenError(thrown)
    const steps = [...thieves.map(({ name }) => `warren node remove ${name}`), 'warren trust rotate-key']
    throw new WarrenError(code, status, `this node is an admin, but the rest is still to be done: ${message}`, {
      cause: thrown,
      hint: steps.join('\n'),
    })
  }
}

/** `laptop`, or `laptop@41`. Fails with `invalid_value`. */
function parseThief(word: string): { node: string; keep_until?: number } {
  const [, node, seq] = /^([^@]+)(?:@(\d{1,15}))?$/.exec(word) ?? []
  if (node === undefined) {
    throw baseErrors.invalid_value(`"${word}" is not NODE or NODE@SEQ`, { hint: 'See the numbers: warren trust log' })
  }
  return seq === undefined ? { node } : { node, keep_until: Number(seq) }
}
