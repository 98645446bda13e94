import { portVariable } from '../bundle/index.ts'

export interface EnvironmentRequest {
  /** Search path for programs. */
  readonly path: string
  readonly timeZone?: string | undefined
  readonly nodeName: string
  readonly instance: string
  readonly packageName: string
  readonly version: string
  readonly dataFolder: string
  /** From the manifest, with its references replaced. */
  readonly env: Readonly<Record<string, string>>
  /** In the order of the manifest. */
  readonly ports: Readonly<Record<string, number>>
}

/** The whole environment of an app: nothing of the daemon's own reaches it. The manifest may set all but Warren's names. */
export function appEnvironment(request: EnvironmentRequest): Record<string, string> {
  const ports = Object.entries(request.ports)
  const first = ports[0]
  return {
    PATH: request.path,
    HOME: request.dataFolder,
    LANG: 'C.UTF-8',
    ...(request.timeZone === undefined ? {} : { TZ: request.timeZone }),
    ...request.env,
    WARREN_NODE: request.nodeName,
    WARREN_INSTANCE: request.instance,
    WARREN_APP: request.packageName,
    WARREN_VERSION: request.version,
    WARREN_DATA: request.dataFolder,
    ...(first === undefined ? {} : { PORT: String(first[1]) }),
    ...Object.fromEntries(ports.map(([name, port]) => [portVariable(name), String(port)])),
  }
}
