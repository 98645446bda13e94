/**
 * audit: the chained log of what was decided and changed, by whom, and why it was refused.
 *
 * Every place that decides on trust tells it: the gate, the router, the roster, package trust, rollouts. Each entry holds
 * the hash of the one before, and peers keep signed heads of the chain, so that an edit or a cut shows. It decides
 * nothing itself, holds nobody up, and never stops the daemon: what it cannot write it counts and says so. It keeps
 * nobody from destroying a log; it keeps them from doing it unseen.
 *
 * ```ts
 * const audit = await openAudit({ file, signer, nodeId, clock, log })
 * audit.tell({ what: 'call', outcome: 'refused', by: peer, subject: 'POST /v1/app/api/stop', reason: 'forbidden' })
 * const heads = startAuditHeads({ network, audit, folder, isMember, clock, log })
 * const verdict = await audit.verify({ peers: await heads.ask() })
 * ```
 */
export { type Audit, type AuditOptions, openAudit } from './audit.ts'
export { type AuditHeads, type AuditHeadsOptions, startAuditHeads } from './protocol/heads.ts'
export { type AuditRoutesInit, auditRoutes } from './routes.ts'
