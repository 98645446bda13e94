import { isPassageSigned, type Roster } from '../identity/index.ts'
import type { AdmissionRequest, PassageRules } from '../net/index.ts'
import { parsePassageQuestion } from './admission-messages.ts'
import { isHeard } from './invite-times.ts'

/**
 * Whom a relay lets through to an admin: who shows that it holds the secret of an invite that the admin would answer, and
 * only to an admin of the roster. What is said there, and whether the invite is still of use, is for the admin.
 */
export function createPassageRules({ roster }: { readonly roster: Roster }): PassageRules {
  return {
    isOpen: () => [...roster.state.invites.values()].some((invite) => isHeard(roster, invite)),
    adminFor: ({ message, transcript }: AdmissionRequest) => {
      const { to, invite: id, signature } = parsePassageQuestion(message)
      const invite = roster.state.invites.get(id)
      const isHolder =
        invite !== undefined &&
        isHeard(roster, invite) &&
        isPassageSigned(invite.publicKey, { transcript, admin: to, signature })
      if (!isHolder) throw new Error('it does not hold the secret of an invite of this network')
      if (!roster.state.admins.has(to)) throw new Error(`${to} is no admin of this network`)
      return to
    },
  }
}
