/**
 * cli: the program's front door. It names the commands of every folder, hands the words to the command-line kit, and
 * turns signals into cancellation.
 *
 * Nobody imports it. It never holds a command's work: that stands beside its noun, in the folder's `commands/`.
 *
 * ```
 * node main.js deploy ./api --on site=home
 * ```
 */
export { commandEntries, commandsByFolder } from './entries.ts'
