import { z } from 'zod'
import { parseDuration } from '../base/durations.ts'

/** Operating system and processor as Node names them. */
export const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'] as const

/** Semantic Versioning 2.0.0 with numbers that stay exact. */
export const VERSION_PATTERN =
  /^(?:0|[1-9]\d{0,14})\.(?:0|[1-9]\d{0,14})\.(?:0|[1-9]\d{0,14})(?:-(?:0|[1-9]\d{0,14}|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d{0,14}|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$/
/** Also a folder's and a host's name, so: the letters of both, and the length of a DNS label. */
export const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

const PORT_REFERENCE = /^\$\{port\.[a-z][a-z0-9-]{0,31}\}$/

const text = (maxLength: number): z.ZodString =>
  z
    .string()
    .max(maxLength, `at most ${maxLength} characters`)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a zero byte ends an argument or variable early
    .regex(/^[^\u0000]*$/, 'must not hold a zero byte')

const durationText = (example: string) =>
  z.string(`a duration such as ${example}`).transform((value, context): number => {
    const durationMs = parseDuration(value)
    if (durationMs !== undefined) return durationMs
    context.addIssue({ code: 'custom', message: `"${value}" is not a duration such as ${example}` })
    return z.NEVER
  })

const portNumber = z
  .number('a port from 1 to 65535')
  .int('a whole number')
  .min(1, 'at least 1')
  .max(65535, 'at most 65535')
const portOrReference = z
  .union([portNumber, z.string().regex(PORT_REFERENCE)], {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how a manifest writes it
    error: 'a port from 1 to 65535, or a reference such as ${port.web}',
  })
  .optional()

const probeTimes = {
  interval: durationText('30s').prefault('30s').describe('Time from the start of one probe to the next.'),
  timeout: durationText('5s').prefault('5s').describe('A probe without an answer by then has failed.'),
  retries: z.number().int().min(1).max(100).default(3).describe('Failed probes in a row that make the app unhealthy.'),
  start_period: durationText('10s').prefault('0s').describe('Failures in this time after the start do not count.'),
}

const healthCheck = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('process'), ...probeTimes }),
    z.strictObject({
      type: z.literal('http'),
      ...probeTimes,
      http_port: portOrReference.describe('Default: the one port in `ports`.'),
      http_path: text(1024).regex(/^\//, 'must begin with /').default('/').describe('Answers 2xx and 3xx are healthy.'),
    }),
    z.strictObject({
      type: z.literal('tcp'),
      ...probeTimes,
      tcp_port: portOrReference.describe('Default: the one port in `ports`.'),
    }),
    z.strictObject({
      type: z.literal('command'),
      ...probeTimes,
      command: z
        .array(text(4096))
        .min(1)
        .max(100)
        .describe('Program and arguments, run in the app’s folder; exit code 0 is healthy.'),
    }),
  ])
  .describe('How Warren knows that the app works. Default: the process is alive.')

const resources = z
  .strictObject({
    cpu_percent: z.number().positive('more than 0').max(102_400).optional().describe('Percent of one core.'),
    memory_mb: z.number().int('a whole number').min(1).max(16_777_216).optional().describe('Hard limit, in MiB.'),
    required: z.boolean().default(false).describe('Do not run where the limits cannot be enforced.'),
  })
  .describe('Limits on what the app may use.')

const scripts = z
  .strictObject({
    'pre-start': text(4096).min(1).optional().describe('Run before each start; a failure stops it.'),
    'post-stop': text(4096).min(1).optional().describe('Run after each stop.'),
  })
  .describe('Programs of the package, run around the app.')

const update = z
  .strictObject({
    follow: text(128).min(1).optional().describe('A range such as ^1.2, or a tag such as latest.'),
    policy: z.enum(['immediate', 'graceful', 'manual']).optional(),
    window: text(128).min(1).optional().describe('Times of day at which updates may start.'),
    snapshot: z.boolean().optional().describe('Copy data/ before each upgrade; a rollback brings it back.'),
  })
  .describe('How new releases are taken up.')

/** `manifest.yaml` as it is written; the shape that editors are given, too. */
export const manifestFileSchema = z
  .strictObject({
    name: z
      .string()
      .regex(NAME_PATTERN, 'lower-case letters, digits and dashes, 1 to 63 of them, no dash at either end')
      .describe('Name of the app.'),
    version: z
      .string('must be text such as "1.0.0"; put it in quotes')
      .max(128, 'at most 128 characters')
      .regex(VERSION_PATTERN, 'must be a semantic version such as 1.0.0')
      .describe('Semantic version (semver.org).'),
    description: text(500).optional().describe('One or two sentences for people.'),
    entrypoint: text(1024)
      .min(1)
      .describe('Program to run: a path in the package, or the name of a program on the node’s PATH.'),
    args: z.array(text(32_768)).max(1000).default([]).describe('Its arguments.'),
    env: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'letters, digits and _ only'), text(32_768))
      .default({})
      .describe('Environment variables.'),
    ports: z
      .record(
        z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'a port’s name is lower-case letters, digits and dashes'),
        z.union([portNumber, z.literal('auto')], { error: 'a port from 1 to 65535, or auto' }),
      )
      .default({})
      .describe('Ports that the app listens on: a number, or `auto` for a free one that is kept across restarts.'),
    health_check: healthCheck.optional(),
    labels: z
      .record(
        z.string().regex(/^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$/, 'lower-case letters, digits, . _ / -'),
        text(63),
      )
      .default({})
      .describe('Labels of the app, for people and policies.'),
    platforms: z
      .array(z.enum(PLATFORMS))
      .max(PLATFORMS.length)
      .default([])
      .describe('Where the package runs. Default: anywhere.'),
    resources: resources.optional(),
    scripts: scripts.optional(),
    restart: z
      .enum(['never', 'on-failure', 'always'])
      .optional()
      .describe('Whether an app that ended is started again.'),
    update: update.optional(),
    schedule: text(256).min(1).optional().describe('Runs at these times and ends, instead of running on.'),
    sandbox: z.enum(['strict']).optional().describe('More isolation than the default.'),
  })
  .describe('manifest.yaml of a Warren package')

export type ManifestFile = z.output<typeof manifestFileSchema>

/** The JSON Schema of manifest.yaml for editors (draft 2020-12), written from the schema that Warren itself checks with. */
export function manifestJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(manifestFileSchema, { io: 'input', target: 'draft-2020-12' })
  return { title: 'Warren manifest.yaml', ...schema }
}
