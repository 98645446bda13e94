import { z } from 'zod'
import { ROLES, type Role } from '../api/index.ts'
import type { Clock } from '../base/clock.ts'
import { baseErrors } from '../base/errors.ts'
import { readFileBounded, setAside, writeFileAtomic } from '../base/files.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import { serviceErrors } from './errors.ts'
import { MAX_NAMED, MAX_SERVICES } from './limits.ts'
import { isServiceName } from './service-name.ts'

/** The whole file; 256 services with 64 ids each stay below it. */
const MAX_FILE_BYTES = 2 * 1024 * 1024

const serviceSchema = z.strictObject({
  name: z.string().refine(isServiceName),
  kind: z.enum(['tcp', 'udp']),
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65_535),
  to: z.array(z.string().min(1).max(128)).max(MAX_NAMED),
})
const fileSchema = z.strictObject({ format: z.literal(1), services: z.array(serviceSchema).max(MAX_SERVICES) })

/** A port that this node exposes. `to` holds roles, and ids of nodes and tokens. */
export type Service = z.output<typeof serviceSchema>

/** The role that `to` names, where it names one. */
export function roleIn(word: string): Role | undefined {
  return ROLES.find((role) => role === word)
}

/** The services that this node exposes, in a file that is as the last answered change left it, whatever happens. */
export interface Exposed {
  list(): readonly Service[]
  find(name: string): Service | undefined
  /** Adds it, or replaces that of its name. Fails with `invalid_value` and `service_limit`. */
  add(service: Service): Promise<{ replaced: boolean }>
  /** Fails with `service_not_found`. */
  remove(name: string): Promise<void>
  /** Hears of each change, once it is on disk. */
  onChange(listener: () => void): void
  /** For people: that the file could not be read. */
  readonly problem: string | undefined
}

interface ExposedOptions {
  readonly file: string
  readonly clock: Clock
  readonly log: Logger
}

/** Reads the file. One that is damaged is set aside, and nothing is exposed then: what cannot be read gives no right. */
export async function openExposed({ file, clock, log }: ExposedOptions): Promise<Exposed> {
  const { services: found, problem } = await readServices(file, { clock, log })
  let services = new Map(found.map((service) => [service.name, service]))
  const listeners: (() => void)[] = []
  const queue = new SerialQueue()
  const change = (make: (next: Map<string, Service>) => void): Promise<void> =>
    queue.run(async () => {
      const next = new Map(services)
      make(next)
      const all = [...next.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
      await writeFileAtomic(file, `${JSON.stringify({ format: 1, services: all }, null, 2)}\n`)
      services = new Map(all.map((service) => [service.name, service]))
      for (const listener of listeners) listener()
    })
  return {
    problem,
    list: () => [...services.values()],
    find: (name) => services.get(name),
    async add(service) {
      if (!isServiceName(service.name)) {
        throw baseErrors.invalid_value(`"${service.name}" cannot be the name of a service`, {
          hint: 'Use 1 to 63 of a-z, 0-9 and -, with a letter among them, and no - at either end.',
        })
      }
      let replaced = false
      await change((next) => {
        replaced = next.has(service.name)
        if (!replaced && next.size >= MAX_SERVICES) {
          throw serviceErrors.service_limit(`this node exposes ${MAX_SERVICES} services already`, {
            hint: 'Take one back: warren unexpose NAME',
          })
        }
        next.set(service.name, service)
      })
      return { replaced }
    },
    async remove(name) {
      await change((next) => {
        if (next.delete(name)) return
        throw serviceErrors.service_not_found(`this node exposes no service "${name}"`, {
          hint: 'See what there is: warren services',
        })
      })
    },
    onChange: (listener) => void listeners.push(listener),
  }
}

async function readServices(
  file: string,
  { clock, log }: Omit<ExposedOptions, 'file'>,
): Promise<{ services: Service[]; problem: string | undefined }> {
  const text = (await readFileBounded(file, MAX_FILE_BYTES))?.toString('utf8')
  if (text === undefined) return { services: [], problem: undefined }
  try {
    return { services: fileSchema.parse(JSON.parse(text)).services, problem: undefined }
  } catch (error) {
    const aside = await setAside(file, clock.now())
    log.error({ file, aside, err: error }, 'the file of exposed services is damaged; nothing is exposed')
    return { services: [], problem: `nothing is exposed: the list of services was damaged, and is kept as ${aside}` }
  }
}
