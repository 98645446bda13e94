/** DSSE payload type of the genesis and of every statement. */
export const ROSTER_PAYLOAD_TYPE = 'application/vnd.warren.roster.v1+json'
/** Longest payload of a statement: 64 admins or 32 labels fit several times, and 20,000 stay below what a small node holds. */
export const MAX_STATEMENT_BYTES = 16 * 1024
/** Longest envelope: the payload in base64 with up to 16 signatures. */
export const MAX_STATEMENT_ENVELOPE_BYTES = 26 * 1024
/** Most statements that a roster holds: about ten for each node of the largest fleets, verified in four seconds. */
export const MAX_STATEMENTS = 20_000
/** Most bytes of payload that a roster holds, but for those of the root: twenty thousand of the usual length take a third of it. */
export const MAX_ROSTER_BYTES = 32 * 1024 * 1024
/** From here on an alarm asks for a checkpoint: a quarter of the room is left, which is years of changes. */
export const LARGE_ROSTER_STATEMENTS = 15_000
export const LARGE_ROSTER_BYTES = (MAX_ROSTER_BYTES / 4) * 3
/**
 * Most statements of one author that count for nothing (beyond a fork or a cut-off): what evidence needs, no room to
 * flood. One of more than a KiB counts as several.
 */
export const MAX_VOID_STATEMENTS = 1024
/** Most statements that wait, in memory only, for one that they follow; the exchange sends in order, so few ever do. */
export const MAX_WAITING_STATEMENTS = 256
/** Author of statements that are signed with the root key. */
export const ROOT_AUTHOR = 'root'
/** Whose those void statements are that no admin signed; together they have as much room as one admin. */
export const STRANGERS = 'strangers'
/** Most admins at a time. */
export const MAX_ADMINS = 64
/** The last millisecond that a date can show, and a time that a roster may name: later ones would fail whoever shows them. */
export const MAX_TIME_MS = 8.64e15
