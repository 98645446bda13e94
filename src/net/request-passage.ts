import { z } from 'zod'
import type { WarrenError } from '../base/errors.ts'
import { ANSWER_FRAME, boundedRequest, REQUEST_FRAME, receiveFrame, sendFrame } from './channel-frames.ts'
import { netErrors } from './errors.ts'
import { requestTranscript } from './proof.ts'
import { channelBinding, greetAsDialler } from './proof-exchange.ts'
import type { SecuredChannel } from './talking-encrypter.ts'

const passageAnswer = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true) }),
  z.object({
    ok: z.literal(false),
    message: z
      .string()
      .max(512)
      .transform((text) => text.replaceAll(/[^\x20-\x7e]/g, ' ')),
  }),
])

interface EnterPassageOptions {
  readonly relay: string
  /** Id of this node. */
  readonly self: string
  /** To whom. */
  readonly peer: string
  readonly signal: AbortSignal
  /** The request; undefined where nothing is to be said to a relay. */
  readonly composePassage?: ((facts: { relay: string; peer: string; transcript: Uint8Array }) => Uint8Array) | undefined
}

/**
 * Asks a relay to be let through to a peer; afterwards the channel leads to that one. Fails with `peer_unreachable` and
 * why, or `peer_id_mismatch`.
 */
export async function enterPassage(secured: SecuredChannel, options: EnterPassageOptions): Promise<void> {
  const { relay, self, peer, signal, composePassage } = options
  const { channel, protocol } = secured
  const not = (why: string): WarrenError => netErrors.peer_unreachable(`the relay ${relay} ${why}`)
  if (secured.peer !== relay) throw netErrors.peer_id_mismatch('another node answers there')
  if (composePassage === undefined) throw not('is not asked for this')
  const nonces = await greetAsDialler(channel, 'passage', signal).catch((thrown: unknown) => {
    throw not(
      signal.aborted
        ? 'gave no answer in time'
        : `lets nobody through (${thrown instanceof Error ? thrown.message : thrown})`,
    )
  })
  const binding = channelBinding(protocol, channel, 'passage')
  const context = { dialler: self, listener: relay, channel: protocol, binding, ...nonces }
  const request = boundedRequest(composePassage({ relay, peer, transcript: requestTranscript('passage', context) }))
  if (!sendFrame(channel, request, REQUEST_FRAME)) throw not('closed the connection')
  const heard = await receiveFrame(channel, ANSWER_FRAME, signal)
  if (heard === 'left') throw not('does not let this node through: it knows no such invite, or does not serve')
  if (heard === 'late') throw not('gave no answer in time')
  if (heard === 'too long') throw not('gave an answer that is too long')
  const answer = parsePassageAnswer(heard)
  if (answer === undefined) throw not('gave an answer that is none')
  if (!answer.ok) throw not(`says: ${answer.message}`)
}

function parsePassageAnswer(bytes: Uint8Array) {
  try {
    return passageAnswer.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch {
    return undefined
  }
}
