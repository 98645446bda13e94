/**
 * command: the command-line kit. It parses words, gives a command what it needs, and prints what it returns.
 *
 * Every feature's `commands/` uses it, and `cli` runs it. A command returns data; the kit alone decides between tables,
 * text, JSON and JSON lines, colours, progress and exit codes: results go to stdout, talk to stderr. It never knows a
 * noun of the domain, and it loads a command's file only when that command is run.
 *
 * ```ts
 * export const startCommand = defineCommand({
 *   name: 'app start',
 *   summary: 'Start an app that was stopped',
 *   arguments: [{ name: 'app', description: 'name of the app' }],
 *   examples: [{ does: 'start the app api', words: 'app start api' }],
 *   run: async ({ args, context }) => ({ json: { app: args.app }, human: `${args.app} started` }),
 * })
 * ```
 */
export * from './define.ts'
export type { CommandEntry } from './entry.ts'
export { describeTransfer } from './progress.ts'
export { type Frame, runWords, type TokenNode, type TokenNodeOptions } from './run.ts'
export { createStyle, type Style } from './style.ts'
export { printable } from './table.ts'
