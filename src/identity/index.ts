/**
 * identity: who signs, and who is believed. Keys and their files, signed envelopes (DSSE), the roster's logic, roles,
 * and trust in packages.
 *
 * Every folder that signs or checks uses it: member carries the roster's statements, bundle and transfer check
 * packages, rollout signs its documents. It never opens a connection, never asks the clock of another machine, and
 * treats every byte that it parses as hostile until a signature it knows says otherwise.
 *
 * ```ts
 * const roster = await Roster.open({ folder, clock, log })
 * await roster.merge(statementsFromPeer)                     // any order, any number of times
 * roster.roleOf(peerIdOf(publicKey))                         // 'operator', or undefined for strangers
 * const envelope = sealEnvelope({ payloadType, payload, signers: [await loadSigner('keys/signing.key')] })
 * ```
 */
export * from './authority.ts'
export * from './authorized-peers.ts'
export * from './changes.ts'
export type { CodeAdmin, CodeNodes } from './code-text.ts'
export { checkIdentity } from './doctor.ts'
export { fingerprintOf, isSignedBy, type Signer, signerFromSeed } from './ed25519.ts'
export * from './envelope.ts'
export { identityErrors } from './errors.ts'
export * from './found-network.ts'
export * from './home-folders.ts'
export * from './join-code.ts'
export { createSigner, loadSigner, rawPrivateKey } from './key-files.ts'
export * from './keyring.ts'
export * from './network-key.ts'
export * from './package-trust.ts'
export { type PassphraseSource, type Prompting, passphrasesOf, readPassphrase, unlockSigner } from './passphrase.ts'
export * from './peer-id.ts'
export { formatPublicKey, type PublicKeyFile, readPublicKeyFile } from './public-key-file.ts'
export * from './recovery-phrase.ts'
export type { BodyInput, StatementType } from './roster/bodies.ts'
export type { Head } from './roster/evaluate.ts'
export type { Admin, Genesis } from './roster/genesis.ts'
export type { Rejected } from './roster/intake.ts'
export {
  type MergeResult,
  Roster,
  type RosterOptions,
  type StatementDraft,
  type StatementOrigin,
} from './roster/roster.ts'
export type { SignedHead, SignedHeads } from './roster/signed-head.ts'
export type {
  Alarm,
  AnnouncedNetworkKey,
  RevokedKey,
  RosterInvite,
  RosterKey,
  RosterNode,
  RosterPolicy,
  RosterState,
} from './roster/state.ts'
export type { Rejection, Statement } from './roster/statement.ts'
export { type KeyRoutesOptions, keyRoutes } from './routes.ts'
export * from './token.ts'
export * from './trusted-folder.ts'
export type { KeyPlaces, TrustedKey, TrustRoster } from './trusted-keys.ts'
