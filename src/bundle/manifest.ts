import { formatFaults, locateInYaml, parseYaml, type YamlFault } from '../base/yaml.ts'
import { bundleErrors } from './errors.ts'
import { MAX_MANIFEST_BYTES } from './limits.ts'
import { type ManifestFile, manifestFileSchema } from './manifest-schema.ts'
import { manifestWarnings } from './manifest-support.ts'

/** Name of the manifest in a folder and in a package. */
export const MANIFEST_NAME = 'manifest.yaml'

interface ProbeTimes {
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Failed probes in a row that make the app unhealthy. */
  readonly retries: number
  readonly startPeriodMs: number
}

/** A port, or the reference `${port.NAME}` to one that the node chooses; see `resolveManifest`. */
export type PortReference = number | string

/** How health is found out; always there (the process check where the manifest names none). */
export type HealthCheck<Port = PortReference> =
  | ({ readonly type: 'process' } & ProbeTimes)
  | ({ readonly type: 'http'; readonly port: Port; readonly path: string } & ProbeTimes)
  | ({ readonly type: 'tcp'; readonly port: Port } & ProbeTimes)
  | ({ readonly type: 'command'; readonly command: readonly string[] } & ProbeTimes)

/** A manifest, checked and with its defaults filled in. Plain data: it may travel as JSON. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly description?: string | undefined
  readonly entrypoint: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** In the order of the file; the first is also given as PORT. */
  readonly ports: Readonly<Record<string, number | 'auto'>>
  readonly healthCheck: HealthCheck
  readonly labels: Readonly<Record<string, string>>
  /** Empty: anywhere. Else such as `linux-x64`. */
  readonly platforms: readonly string[]
  readonly resources?: { cpuPercent?: number | undefined; memoryMb?: number | undefined; required: boolean } | undefined
  readonly scripts?: { preStart?: string | undefined; postStop?: string | undefined } | undefined
  readonly restart?: 'never' | 'on-failure' | 'always' | undefined
  readonly update?: ManifestFile['update']
  readonly schedule?: string | undefined
  readonly sandbox?: 'strict' | undefined
}

/** The manifest with every `${port.NAME}` replaced. */
export interface ResolvedManifest {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly healthCheck: HealthCheck<number>
}

/**
 * Reads a manifest. Fails with `manifest_invalid` whose message has a line `file:line:column  key: what` for every
 * fault (also in `details.faults`). The warnings name keys that this release does not act on.
 */
export function parseManifest(text: string, fileName: string): { manifest: Manifest; warnings: string[] } {
  const parsed = parseYaml({ text, file: fileName, schema: manifestFileSchema, maxBytes: MAX_MANIFEST_BYTES })
  if (parsed.value === undefined) throw invalid(fileName, parsed.faults)
  const manifest = toManifest(parsed.value)
  const faults = [...checkPaths(parsed.value), ...checkEnv(parsed.value), ...checkPorts(parsed.value)].map(
    ({ path, message }) => ({ ...locateInYaml(text, path), path: path.join('.'), message }),
  )
  if (faults.length > 0) throw invalid(fileName, faults)
  return { manifest, warnings: manifestWarnings(manifest) }
}

/** Puts the ports of an instance in place of `${port.NAME}`. `ports` has a number for every name in `manifest.ports`. */
export function resolveManifest(manifest: Manifest, ports: Readonly<Record<string, number>>): ResolvedManifest {
  const inText = (text: string): string => text.replaceAll(REFERENCES, (_all, name: string) => String(ports[name]))
  const inPort = (port: PortReference): number => (typeof port === 'number' ? port : Number(inText(port)))
  const check = manifest.healthCheck
  const resolveCheck = (): HealthCheck<number> => {
    if (check.type === 'http') return { ...check, port: inPort(check.port), path: inText(check.path) }
    if (check.type === 'tcp') return { ...check, port: inPort(check.port) }
    if (check.type === 'command') return { ...check, command: check.command.map(inText) }
    return check
  }
  return {
    args: manifest.args.map(inText),
    env: Object.fromEntries(Object.entries(manifest.env).map(([name, value]) => [name, inText(value)])),
    healthCheck: resolveCheck(),
  }
}

const REFERENCES = /\$\{port\.([^}]*)\}/g

interface Fault {
  readonly path: (string | number)[]
  readonly message: string
}

function invalid(fileName: string, faults: readonly YamlFault[]): Error {
  return bundleErrors.manifest_invalid(formatFaults(fileName, faults), {
    hint: 'All keys: docs/manifest.md. A starter app: warren init app',
    details: { file: fileName, faults },
  })
}

function checkPaths(file: ManifestFile): Fault[] {
  const { entrypoint } = file
  const faulty =
    entrypoint.startsWith('/') || entrypoint.split('/').includes('..') || entrypoint.endsWith('/') || entrypoint === '.'
  if (!faulty) return []
  const message = 'must be a path inside the package, or the bare name of a program on PATH'
  return [{ path: ['entrypoint'], message }]
}

function checkEnv(file: ManifestFile): Fault[] {
  return Object.keys(file.env).flatMap((name) => {
    if (name.startsWith('WARREN_'))
      return [{ path: ['env', name], message: 'names that begin with WARREN_ are Warren’s' }]
    const isPort = name === 'PORT' || Object.keys(file.ports).some((port) => name === portVariable(port))
    if (!isPort || Object.keys(file.ports).length === 0) return []
    return [{ path: ['env', name], message: 'is set by Warren from ports' }]
  })
}

/** The variable in which the app finds a port: `PORT_ADMIN_API` for `admin-api`. */
export function portVariable(portName: string): string {
  return `PORT_${portName.toUpperCase().replaceAll('-', '_')}`
}

function checkPorts(file: ManifestFile): Fault[] {
  const names = Object.keys(file.ports)
  const faults: Fault[] = []
  const seen = new Map<number, string>()
  for (const [name, port] of Object.entries(file.ports)) {
    if (port === 'auto') continue
    const other = seen.get(port)
    if (other !== undefined) faults.push({ path: ['ports', name], message: `port ${port} is already ${other}` })
    seen.set(port, name)
  }
  for (const { path, text } of textsWithReferences(file)) {
    for (const [all, name] of text.matchAll(REFERENCES)) {
      if (names.includes(name as string)) continue
      const known = names.length === 0 ? 'there are no ports' : `ports has ${names.join(', ')}`
      faults.push({ path, message: `${all} is not defined; ${known}` })
    }
  }
  const check = file.health_check
  const missing =
    (check?.type === 'http' && check.http_port === undefined) || (check?.type === 'tcp' && check.tcp_port === undefined)
  if (missing && names.length !== 1) {
    faults.push({
      path: ['health_check', 'type'],
      message: `needs ${check.type}_port, as ports does not name exactly one`,
    })
  }
  return faults
}

function textsWithReferences(file: ManifestFile): { path: (string | number)[]; text: string }[] {
  const check = file.health_check
  return [
    ...file.args.map((text, index) => ({ path: ['args', index], text })),
    ...Object.entries(file.env).map(([name, text]) => ({ path: ['env', name], text })),
    ...Object.entries(check ?? {}).flatMap(([key, value]) => {
      if (typeof value === 'string') return [{ path: ['health_check', key], text: value }]
      if (!Array.isArray(value)) return []
      return value.map((text, index) => ({ path: ['health_check', key, index], text: String(text) }))
    }),
  ]
}

function toManifest(file: ManifestFile): Manifest {
  const { health_check: check, resources, scripts, ...rest } = file
  return {
    ...rest,
    healthCheck: toHealthCheck(check, Object.keys(file.ports)),
    ...(resources === undefined
      ? {}
      : {
          resources: {
            cpuPercent: resources.cpu_percent,
            memoryMb: resources.memory_mb,
            required: resources.required,
          },
        }),
    ...(scripts === undefined ? {} : { scripts: { preStart: scripts['pre-start'], postStop: scripts['post-stop'] } }),
  }
}

const PROCESS_CHECK: HealthCheck = {
  type: 'process',
  intervalMs: 30_000,
  timeoutMs: 5000,
  retries: 3,
  startPeriodMs: 0,
}

function toHealthCheck(check: ManifestFile['health_check'], portNames: string[]): HealthCheck {
  if (check === undefined) return PROCESS_CHECK
  const times = {
    intervalMs: check.interval,
    timeoutMs: check.timeout,
    retries: check.retries,
    startPeriodMs: check.start_period,
  }
  const onlyPort = `\${port.${portNames[0]}}`
  if (check.type === 'http') {
    return { type: 'http', port: check.http_port ?? onlyPort, path: check.http_path, ...times }
  }
  if (check.type === 'tcp') return { type: 'tcp', port: check.tcp_port ?? onlyPort, ...times }
  if (check.type === 'command') return { type: 'command', command: check.command, ...times }
  return { type: 'process', ...times }
}
