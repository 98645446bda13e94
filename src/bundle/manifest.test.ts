// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is how manifests refer to ports
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WarrenError } from '../base/errors.ts'
import { type Manifest, parseManifest, portVariable, resolveManifest } from './manifest.ts'
import { manifestJsonSchema } from './manifest-schema.ts'
import { manifestWarnings, refuseUnsupported } from './manifest-support.ts'

const MINIMAL = 'name: api\nversion: 1.0.0\nentrypoint: ./run\n'

function parse(more: string): Manifest {
  return parseManifest(`${MINIMAL}${more}`, 'manifest.yaml').manifest
}
function faultsOf(more: string, start = MINIMAL): string[] {
  try {
    parseManifest(`${start}${more}`, 'manifest.yaml')
    return []
  } catch (error) {
    expect((error as WarrenError).code).toBe('manifest_invalid')
    return (error as WarrenError).message.split('\n')
  }
}

test('a manifest of three lines has all defaults', () => {
  expect(parse('')).toEqual({
    name: 'api',
    version: '1.0.0',
    entrypoint: './run',
    args: [],
    env: {},
    ports: {},
    labels: {},
    platforms: [],
    healthCheck: { type: 'process', intervalMs: 30_000, timeoutMs: 5000, retries: 3, startPeriodMs: 0 },
  })
})

test('every key of the format is parsed and typed', () => {
  const manifest = parse(`description: An API
args: [--port, "\${port.web}"]
env: {MODE: fast, URL: "http://localhost:\${port.web}/"}
ports: {web: auto, admin: 9000}
health_check: {type: http, interval: 10s, timeout: 500ms, retries: 2, start_period: 1m, http_port: 9000, http_path: /up}
labels: {team: core}
platforms: [linux-x64, linux-arm64]
resources: {cpu_percent: 50, memory_mb: 256}
scripts: {pre-start: ./before, post-stop: ./after}
restart: always
update: {follow: ^1.2, policy: graceful, window: "02:00-04:00", snapshot: true}
schedule: 0 3 * * * Europe/Berlin
sandbox: strict
`)
  expect(manifest).toMatchObject({
    description: 'An API',
    args: ['--port', '${port.web}'],
    ports: { web: 'auto', admin: 9000 },
    healthCheck: {
      type: 'http',
      intervalMs: 10_000,
      timeoutMs: 500,
      retries: 2,
      startPeriodMs: 60_000,
      port: 9000,
      path: '/up',
    },
    labels: { team: 'core' },
    platforms: ['linux-x64', 'linux-arm64'],
    resources: { cpuPercent: 50, memoryMb: 256, required: false },
    scripts: { preStart: './before', postStop: './after' },
    restart: 'always',
    update: { follow: '^1.2', policy: 'graceful', window: '02:00-04:00', snapshot: true },
    schedule: '0 3 * * * Europe/Berlin',
    sandbox: 'strict',
  })
  expect(JSON.parse(JSON.stringify(manifest))).toEqual(manifest)
})

test.each<[string, string]>([
  ['ports: {web: 70000}', 'manifest.yaml:4:14  ports.web: '],
  ['ports: {Web: auto}', 'manifest.yaml:4:9  ports.Web: '],
  ['ports: {a: 80, b: 80}', 'manifest.yaml:4:19  ports.b: port 80 is already a'],
  ['env: {A-B: x}', 'manifest.yaml:4:7  env.A-B: letters, digits and _ only'],
  ['env: {A: 1}', 'manifest.yaml:4:10  env.A: must be text; put the value in quotes'],
  ['env: {WARREN_X: a}', 'manifest.yaml:4:17  env.WARREN_X: '],
  ['env: {PORT: "1"}\nports: {web: auto}', 'manifest.yaml:4:13  env.PORT: is set by Warren from ports'],
  ['args: ["${port.web}"]', 'manifest.yaml:4:8  args.0: ${port.web} is not defined; there are no ports'],
  [
    'ports: {api: auto}\nenv: {U: "x${port.web}"}',
    'manifest.yaml:5:10  env.U: ${port.web} is not defined; ports has api',
  ],
  ['health_check: {type: http}', 'manifest.yaml:4:22  health_check.type: needs http_port'],
  [
    'health_check: {type: tcp, tcp_port: "${port.x}"}',
    'manifest.yaml:4:37  health_check.tcp_port: ${port.x} is not defined',
  ],
  ['health_check: {type: htp}', 'manifest.yaml:4:22  health_check.type: '],
  ['health_check: {type: process, interval: 30}', 'manifest.yaml:4:41  health_check.interval: '],
  [
    'health_check: {type: process, interval: soon}',
    'manifest.yaml:4:41  health_check.interval: "soon" is not a duration such as 30s',
  ],
  ['health_check: {type: process, http_path: /}', 'manifest.yaml:4:31  health_check.http_path: not a known key'],
  ['platforms: [linux-x86]', 'manifest.yaml:4:13  platforms.0: '],
  ['scripts: {pre_start: a}', 'manifest.yaml:4:11  scripts.pre_start: not a known key; did you mean pre-start?'],
  ['restart: sometimes', 'manifest.yaml:4:10  restart: '],
  ['resources: {memory_mb: "256"}', 'manifest.yaml:4:24  resources.memory_mb: '],
  ['entry_point: x', 'manifest.yaml:4:1  entry_point: not a known key; did you mean entrypoint?'],
])('%s is named with its place', (more, expected) => {
  expect(faultsOf(`${more}\n`)).toEqual([expect.stringContaining(expected)])
})

test.each(['Api', 'a_b', '-a', 'a-', '', 'a'.repeat(64), '../a', 'a.b'])('the name "%s" is refused', (name) => {
  expect(faultsOf('', `name: ${JSON.stringify(name)}\nversion: 1.0.0\nentrypoint: a\n`)).toHaveLength(1)
})

test.each(['1', '1.0', 'v1.0.0', '01.0.0', '1.0.0-', '1.0.0-01', '1.0.0/x', '1.0.0+', '1234567890123456.0.0'])(
  'the version "%s" is refused',
  (version) => {
    expect(faultsOf('', `name: a\nversion: ${JSON.stringify(version)}\nentrypoint: a\n`)).toHaveLength(1)
  },
)

test.each(['1.0.0', '0.0.0-a.b-c.0', '10.20.30+build.5', '1.0.0-dev.12'])('the version %s is accepted', (version) => {
  expect(faultsOf('', `name: a\nversion: ${version}\nentrypoint: a\n`)).toEqual([])
})

test('a version without quotes that YAML reads as a number says what to do', () => {
  expect(faultsOf('', 'name: a\nversion: 1.0\nentrypoint: a\n')).toEqual([
    'manifest.yaml:2:10  version: must be text such as "1.0.0"; put it in quotes',
  ])
})

test.each(['/bin/sh', '../run', 'a/../../run', 'bin/'])('the entrypoint %s is refused', (entrypoint) => {
  expect(faultsOf('', `name: a\nversion: 1.0.0\nentrypoint: ${entrypoint}\n`)[0]).toContain(
    'manifest.yaml:3:13  entrypoint: ',
  )
})

test('all faults of a file come at once, also in details', () => {
  const faults = faultsOf('env: {WARREN_X: a}\nargs: ["${port.a}", "${port.b}"]\n')
  expect(faults).toHaveLength(3)
})

test('ports stand in for their references in args, env and health check', () => {
  const manifest = parse(`args: ["\${port.web}", "a\${port.web}-\${port.admin-api}b", "\${HOME}"]
env: {U: "http://x:\${port.admin-api}"}
ports: {web: auto, admin-api: 9000}
health_check: {type: http, http_port: "\${port.web}", http_path: "/p/\${port.web}"}
`)
  expect(resolveManifest(manifest, { web: 41_000, 'admin-api': 9000 })).toMatchObject({
    args: ['41000', 'a41000-9000b', '${HOME}'],
    env: { U: 'http://x:9000' },
    healthCheck: { type: 'http', port: 41_000, path: '/p/41000' },
  })
  expect(portVariable('admin-api')).toBe('PORT_ADMIN_API')
})

test('a health check without a port takes the only one there is', () => {
  const manifest = parse('ports: {web: auto}\nhealth_check: {type: tcp}\n')
  expect(resolveManifest(manifest, { web: 41_000 }).healthCheck).toMatchObject({ type: 'tcp', port: 41_000 })
})

test('what this release does not act on is warned about by name', () => {
  const { warnings } = parseManifest(
    `${MINIMAL}restart: always\nresources: {memory_mb: 5}\nupdate: {snapshot: true}\n`,
    'm',
  )
  expect(warnings.map((warning) => warning.split(':')[0])).toEqual(['resources', 'restart', 'update'])
  expect(() => refuseUnsupported(parse('restart: always\nresources: {memory_mb: 5}\n'))).not.toThrow()
})

test.each([
  ['scripts', 'scripts: {pre-start: ./a}'],
  ['schedule', 'schedule: "@daily"'],
  ['sandbox', 'sandbox: strict'],
  ['resources.required', 'resources: {memory_mb: 5, required: true}'],
])('%s is refused at deploy', (key, more) => {
  const manifest = parse(`${more}\n`)
  expect(manifestWarnings(manifest)).toEqual([expect.stringMatching(new RegExp(`^${key}: `))])
  expect(() => refuseUnsupported(manifest)).toThrow(expect.objectContaining({ code: 'manifest_unsupported' }))
})

test('the published JSON Schema is the one that Warren checks with', () => {
  const published = readFileSync(new URL('../../docs/manifest.schema.json', import.meta.url), 'utf8')
  expect(published).toBe(`${JSON.stringify(manifestJsonSchema(), null, 2)}\n`)
})

test('docs/manifest.md names every key', () => {
  const page = readFileSync(new URL('../../docs/manifest.md', import.meta.url), 'utf8')
  const keysOf = (schema: Record<string, unknown>): string[] => {
    const branches = [schema, ...((schema.oneOf ?? schema.anyOf ?? []) as Record<string, unknown>[])]
    return branches.flatMap((branch) =>
      Object.entries((branch.properties ?? {}) as Record<string, Record<string, unknown>>).flatMap(([key, value]) => [
        key,
        ...keysOf(value),
      ]),
    )
  }
  for (const key of keysOf(manifestJsonSchema())) expect(page, key).toContain(`\`${key}\``)
})

test('whatever a manifest holds, it is parsed or refused by a WarrenError', () => {
  const value = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.constant(null),
    fc.array(fc.string()),
    fc.dictionary(fc.string(), fc.string()),
  )
  const key = fc.constantFrom(
    'name',
    'version',
    'entrypoint',
    'args',
    'env',
    'ports',
    'health_check',
    'labels',
    'platforms',
    'resources',
    'x',
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(key, value), { maxLength: 8 }), (pairs) => {
      const text = pairs.map(([name, content]) => `${name}: ${JSON.stringify(content)}`).join('\n')
      try {
        parseManifest(text, 'm')
      } catch (error) {
        expect(error).toBeInstanceOf(WarrenError)
      }
    }),
    { numRuns: 300 },
  )
})
