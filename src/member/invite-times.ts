import type { Roster, RosterInvite } from '../identity/index.ts'

/** An invite goes on to be answered for so long after its end, so that who comes late hears why it is of no use. */
const TELL_WHY_MS = 24 * 60 * 60_000

/** Whether who holds the secret of an invite is answered at all. */
export function isHeard(roster: Roster, { expires }: RosterInvite): boolean {
  return roster.latestTimeMs() < expires + TELL_WHY_MS
}
