/** UDP, where TCP has found nothing: a way between two ports, and a data channel over it. */
import { scopeOf } from '../../base/ip-scope.ts'
import { withTimeout } from '../../base/wait.ts'
import { dialable, multiaddrOf } from './addresses.ts'
import type { DataChannels } from './data-channel.ts'
import { DATA_CHANNEL_TIMEOUT_MS, MAX_UDP_ADDRESSES, UDP_TIMEOUT_MS } from './limits.ts'
import type { Address, Candidates, Talk } from './messages.ts'
import { birthdayPart, type Stage } from './tcp-stage.ts'
import { type UdpBirthday, UdpSearch } from './udp-way.ts'

/** How far UDP came. */
export type UdpProgress = 'not tried' | 'no way' | 'no channel' | 'channel'

/** Whether UDP can help at all. */
export function isUdpWorthIt(mine: Candidates, theirs: Candidates): boolean {
  const both = [mine.udp, theirs.udp]
  if (both.some(({ channel, mapping }) => !channel || mapping === 'blocked')) return false
  return !both.every(({ mapping }) => mapping === 'depends')
}

interface UdpInit extends Stage {
  peer: string
  talk: Talk
  key: Buffer
  channels: DataChannels
  onProgress(progress: UdpProgress): void
}

/** Searches, makes the channel, and enters it into the contest. Rejects where it does not get there in time. */
export async function tryUdp(init: UdpInit): Promise<void> {
  const { side, peer, talk, channels, contest, clock, signal, rttMs, onProgress } = init
  onProgress('no way')
  const way = await withTimeout(
    'the search for a way over UDP',
    UDP_TIMEOUT_MS + 6 * rttMs,
    (ends) => findWay(init, ends),
    { signal, clock },
  )
  onProgress('no channel')
  const channel = await withTimeout(
    'the data channel',
    DATA_CHANNEL_TIMEOUT_MS + 8 * rttMs,
    (ends) =>
      channels.open({
        peer,
        isFirst: side === 'first',
        localPort: way.localPort,
        remote: way.remote,
        describe: (own) => talk.say({ type: 'describe', ...own }),
        described: async () => {
          const { fragment, password, fingerprint } = await talk.hear(['describe'], ends)
          return { fragment, password, fingerprint }
        },
        signal: ends,
      }),
    { signal, clock },
  )
  onProgress('channel')
  contest.enter({ channel, how: way.how, address: multiaddrOf(way.remote, 'udp'), kind: 'datachannel' })
}

async function findWay({ side, talk, key, ports, mine, theirs, hosts, rttMs, clock }: UdpInit, signal: AbortSignal) {
  const targets = dialable(theirs.udp.addresses, hosts, MAX_UDP_ADDRESSES).filter(({ host }) => !host.includes(':'))
  const birthday = birthdayOf(mine, theirs, targets[0])
  const search = new UdpSearch({ socket: ports.udp, targets, side, key, rttMs, birthday, clock, signal })
  if (side === 'first') {
    await talk.hear(['found'], signal)
    search.taken()
  }
  const way = await search.way
  if (side === 'second') await talk.say({ type: 'found' })
  return way
}

function birthdayOf(mine: Candidates, theirs: Candidates, target: Address | undefined): UdpBirthday | undefined {
  const part = birthdayPart(mine, theirs, 'udp')
  if (part === undefined || target === undefined || scopeOf(target.host) !== 'public') return undefined
  return part === 'hard' ? { many: target } : { probe: target.host }
}
