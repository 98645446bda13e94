import { implement, type Route } from '../api/index.ts'
import type { Network } from '../net/index.ts'
import { createAskAuthority } from './ask-authority.ts'
import { codeNodes } from './code-nodes.ts'
import { inviteContract, memberContract, tokenContract, trustContract } from './contract.ts'
import { createInvites } from './invites.ts'
import { createMembers } from './members.ts'
import { createTokens } from './tokens.ts'
import { createTrust, type TrustOptions } from './trust.ts'

export interface MemberRoutesInit extends TrustOptions {
  readonly network: Network
}

/** The calls on nodes, invites, tokens and trust. */
export function memberRoutes(init: MemberRoutesInit): Route[] {
  const { directory, authority } = init
  const nodes = () => codeNodes(init)
  const members = createMembers({ ...init, askAuthority: createAskAuthority(init) })
  const invites = createInvites({ ...init, nodes })
  const tokens = createTokens({ ...init, nodes, remove: (id) => members.removeId(id) })
  return [
    implement(memberContract.list, ({ query }) =>
      query.on === undefined ? directory.everyone() : directory.select(query.on),
    ),
    implement(memberContract.info, ({ params }) => members.info(params.node)),
    implement(memberContract.authority, async () => ({
      id: directory.self.id,
      authority: Buffer.from(await authority.publicKey()).toString('base64'),
    })),
    implement(memberContract.add, ({ body }) => members.add(body)),
    implement(memberContract.remove, ({ params }) => members.remove(params.node)),
    implement(memberContract.rename, ({ params, body }) => members.rename(params.node, body.name)),
    implement(memberContract.label, ({ params, body }) => members.label(params.node, body)),
    implement(memberContract.grant, ({ params, body, signal }) => members.grant(params.node, body, signal)),
    implement(memberContract.revoke, ({ params, body }) => members.revoke(params.node, body)),
    implement(inviteContract.create, ({ body }) => invites.create(body)),
    implement(inviteContract.list, () => invites.list()),
    implement(inviteContract.close, ({ params }) => invites.close(params.invite)),
    implement(tokenContract.create, ({ body }) => tokens.create(body)),
    implement(tokenContract.list, () => tokens.list()),
    implement(tokenContract.remove, ({ params }) => tokens.remove(params.token)),
    ...trustRoutes(init),
  ]
}

function trustRoutes(init: MemberRoutesInit): Route[] {
  const trust = createTrust(init)
  return [
    implement(trustContract.status, () => trust.status()),
    implement(trustContract.log, ({ query }) => trust.log(query)),
    implement(trustContract.draftRecovery, ({ body }) => trust.draftRecovery(body)),
    implement(trustContract.draftCheckpoint, () => trust.draftCheckpoint()),
    implement(trustContract.submit, ({ body }) => trust.submit(body.envelopes)),
    implement(trustContract.export, async function* () {
      for (const envelope of trust.export()) yield { envelope }
    }),
    implement(trustContract.import, ({ body }) => trust.import(body.envelopes)),
    implement(trustContract.finishRecovery, ({ body }) => trust.finishRecovery(body.remove)),
    implement(trustContract.acceptHead, () => trust.acceptHead()),
    implement(trustContract.rotateKey, () => trust.rotateKey()),
  ]
}
