/**
 * config: one YAML file, environment variables and options, merged and checked, every fault named with its place.
 *
 * The features define their sections (`config.ts`), the program lists them, the daemon and the commands load them here.
 * The folder never knows what a key is for, never writes but on `config set|reset|edit`, and never holds a secret. YAML
 * is loaded only where there is a file to read.
 *
 * ```ts
 * export const netSection = defineSection({
 *   name: 'net',
 *   description: 'Connections to other nodes.',
 *   schema: z.strictObject({ dial_timeout: durationField('10s').describe('Longest wait for a connection.') }).prefault({}),
 * })
 * const { values, origins } = await loadConfig({ sections: [netSection, loggingSection], home, env: process.env })
 * values.net.dial_timeout // 10000; origins['net.dial_timeout'] is 'default'
 * ```
 */
export { loggingSection, storageSection } from './config.ts'
export type { ConfigFault } from './errors.ts'
export { durationField, type FieldFormat, pathField, secretField, sizeField } from './fields.ts'
export { findConfigFile } from './file.ts'
export { type ConfigKey, findSectionFaults } from './keys.ts'
export { type LoadedConfig, type LoadOptions, loadConfig, type Origin } from './load.ts'
export type { Migration } from './migrate.ts'
export { type ConfigValues, defineSection, type Section } from './section.ts'
export { writeCommentedConfig } from './template.ts'
