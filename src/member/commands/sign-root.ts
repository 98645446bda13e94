import type { ApiClient } from '../../api/index.ts'
import { type CommandContext, printable } from '../../command/index.ts'
import { describePayload, encodeEnvelope, type Signer, sealRoot } from '../../identity/index.ts'
import { memberContract, trustContract } from '../contract.ts'

/** Says what is about to be signed, in the words of this process and not of the daemon's. */
export async function sayDraft(
  context: CommandContext,
  { client, payloads }: { client: ApiClient; payloads: readonly Uint8Array[] },
): Promise<void> {
  const nodes = await client.call(memberContract.list, {}, { signal: context.signal })
  // The daemon's word for a name goes beside the end of the id, which is in the bytes.
  const withNames = (text: string): string =>
    nodes.reduce((said, { id, name }) => said.replaceAll(id, `${name} (…${id.slice(-8)})`), text)
  context.say('The root key signs:')
  for (const payload of payloads) context.say(`  ${printable(withNames(describePayload(payload)))}`)
}

/** The bytes of a draft as the daemon gives it. */
export function payloadsOf(draft: { readonly payloads: readonly string[] }): Buffer[] {
  return draft.payloads.map((payload) => Buffer.from(payload, 'base64'))
}

/** Signs here, so that the phrase never reaches the daemon, and hands the result over. */
export async function signAndSubmit(
  client: ApiClient,
  { payloads, signers, signal }: { payloads: readonly Buffer[]; signers: readonly Signer[]; signal: AbortSignal },
): Promise<{ statements: number; held: number }> {
  const envelopes = sealRoot([...payloads], [...signers]).map((envelope) => encodeEnvelope(envelope).toString('utf8'))
  return await client.call(trustContract.submit, { body: { envelopes } }, { signal })
}
