import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import type { Logger } from '../base/log.ts'
import { AdmissionDesk, type Reply } from './admission-desk.ts'
import { ChannelDuplex } from './channel-duplex.ts'
import { PASSAGE_BYTES, PASSAGE_TIMEOUT_MS } from './constants.ts'
import { sourceOf } from './pending.ts'
import type { Passage, PassageWish, Refusal as RelayRefusal } from './relay/index.ts'
import type { AdmissionRequest, PassageRules, Refusal } from './types.ts'

interface PassageDeskInit {
  /** Undefined where nobody is let through. */
  rules: PassageRules | undefined
  /** What this node does as a relay. */
  relay: { serves(): boolean; passage(wish: PassageWish): Promise<Passage | RelayRefusal> | undefined }
  clock: Clock
  log: Logger
  counters: Counters
  onRefused: (refusal: Refusal) => void
}

/**
 * Where strangers ask a relay to be let through to an admin. It hears them as the desk for admission does, with limits of
 * its own, and tells why not only those whom the rules find right. What comes after a good answer is for the admin.
 */
export function createPassageDesk({ rules, relay, ...init }: PassageDeskInit): AdmissionDesk | undefined {
  if (rules === undefined) return undefined
  const answer = async (request: AdmissionRequest): Promise<Uint8Array | Reply> => {
    const { peer: from, address, signal } = request
    const to = rules.adminFor(request)
    const opened = await relay.passage({ from, to, source: sourceOf(address), signal })
    if (opened === undefined) throw new Error('this node is no relay any more')
    if ('code' in opened) return encode({ ok: false, code: opened.code, message: opened.message })
    return {
      answer: encode({ ok: true }),
      goOn: (channel) => opened.join(new ChannelDuplex(channel, { maxReadBytes: PASSAGE_BYTES })),
    }
  }
  const server = { isOpen: () => relay.serves() && rules.isOpen(), answer }
  return new AdmissionDesk({ ...init, server, subject: 'passage', timeoutMs: PASSAGE_TIMEOUT_MS })
}

function encode(answer: object): Uint8Array {
  return Buffer.from(JSON.stringify(answer))
}
