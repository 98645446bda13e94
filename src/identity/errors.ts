import { defineErrors } from '../base/errors.ts'

/** What can go wrong with keys, envelopes, the roster and trust in packages. */
export const identityErrors = defineErrors({
  key_exists: { status: 409, summary: 'A key file of that name is already there; keys are never overwritten.' },
  key_not_found: { status: 404, summary: 'There is no key file at that path, or no trusted key of that name or id.' },
  key_invalid: { status: 400, summary: 'A key file does not hold an Ed25519 key in the form it must have.' },
  key_permissions: { status: 403, summary: 'Other users of the machine could read or replace a secret key.' },
  key_locked: {
    status: 403,
    summary: 'The key file is protected by a passphrase, and none was given.',
  },
  passphrase_wrong: { status: 403, summary: 'The passphrase does not open the key file.' },
  passphrase_invalid: { status: 400, summary: 'A passphrase is too short, too long, or was typed differently twice.' },
  key_ambiguous: { status: 409, summary: 'Several keys have that name, or an id that begins so.' },
  key_name_taken: { status: 409, summary: 'Another signing key that counts in this network has that name.' },
  key_revoked: { status: 409, summary: 'That signing key was revoked in this network, which is for good.' },
  network_key_invalid: { status: 400, summary: 'The network key is not 64 hex digits.' },
  network_key_missing: { status: 404, summary: 'This home has no network key, so it belongs to no network yet.' },
  envelope_invalid: {
    status: 400,
    summary: 'A signed envelope is malformed, too long, or of another type than expected.',
  },
  recovery_phrase_invalid: { status: 400, summary: 'The recovery phrase is incomplete or was copied with a mistake.' },
  authorized_peers_invalid: { status: 400, summary: 'A line of the authorized_peers file is not understood.' },
  statement_invalid: { status: 400, summary: 'A roster statement does not have the form it must have.' },
  statement_too_large: { status: 413, summary: 'A roster statement is longer than the 16 KiB that nodes accept.' },
  roster_missing: { status: 404, summary: 'This home has no roster, so it belongs to no network yet.' },
  roster_exists: { status: 409, summary: 'This home already belongs to a network; its roster is never overwritten.' },
  roster_damaged: {
    status: 500,
    summary: 'The roster log is damaged in its middle; it was set aside under a new name.',
  },
  roster_full: { status: 507, summary: 'The roster holds as many statements as nodes accept.' },
  roster_incomplete: {
    status: 409,
    summary: 'A checkpoint made here could lose something that other nodes hold; none is drafted.',
  },
  roster_log_frozen: {
    status: 409,
    summary: 'Two different statements of this admin stand at one place of its log, so nothing it adds would count.',
  },
  not_admin: {
    status: 403,
    summary: 'Only a node that is admin of the network, with its authority key, changes the roster.',
  },
  wrong_network: { status: 409, summary: 'A genesis or roster belongs to another network than the one expected.' },
  node_removed: {
    status: 409,
    summary: 'That node was removed from the network, which is for good; it needs a new identity.',
  },
  node_unknown: { status: 404, summary: 'No node of that id is in the roster.' },
  admin_exists: { status: 409, summary: 'That node is an admin already.' },
  admin_left: {
    status: 409,
    summary: 'That node was an admin and left the admin set, which is for good; it needs a new identity.',
  },
  last_admin: {
    status: 409,
    summary: 'That node is the last admin of the network; it stays one until there is another.',
  },
  invite_unknown: { status: 404, summary: 'No invitation of that id is in the roster.' },
  policy_unknown: { status: 404, summary: 'No policy of that name is in the roster.' },
  policy_invalid: { status: 400, summary: 'A policy asks for what no package can have.' },
  policy_refused: {
    status: 403,
    summary: 'A policy of this network asks for signatures that the package does not carry.',
  },
  version_too_old: {
    status: 409,
    summary: 'A policy of this network names a lowest version, and the package is older.',
  },
  roster_head_unconfirmed: {
    status: 409,
    summary:
      'This home may be restored from a backup, so what it signed since is unknown; it signs nothing until it has compared its log with another node.',
  },
  join_code_invalid: { status: 400, summary: 'A join code is incomplete or was copied with a mistake.' },
  token_invalid: { status: 400, summary: 'A deploy token is incomplete or was copied with a mistake.' },
  package_unsigned: {
    status: 403,
    summary: 'The package carries no signature, and this node accepts signed packages only.',
  },
  untrusted_key: { status: 403, summary: 'The package is signed, but by no key that this network or node trusts.' },
  bad_signature: {
    status: 403,
    summary: 'A signature of the package does not fit it: it was changed after it was signed.',
  },
})
