import type { ApiClient } from '../../api/index.ts'
import { type CommandContext, printable } from '../../command/index.ts'
import { describePayload, encodeEnvelope, type Signer, sealRoot } from '../../identity/index.ts'
import { trustContract } from '../contract.ts'

/** Says what is about to be signed, in the words of this process and not of the daemon's. */
export function sayDraft(context: CommandContext, payloads: readonly Uint8Array[]): void {
  context.say('The root key signs:')
  for (const payload of payloads) context.say(`  ${printable(describePayload(payload))}`)
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
