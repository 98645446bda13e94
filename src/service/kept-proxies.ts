import { z } from 'zod'
import type { Clock } from '../base/clock.ts'
import { readFileBounded, setAside, writeFileAtomic } from '../base/files.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import { MAX_PROXIES } from './limits.ts'
import { isServiceName } from './service-name.ts'

const MAX_FILE_BYTES = 1024 * 1024

const keptSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9]{1,32}$/),
  peer: z.string().min(1).max(128),
  service: z.string().refine(isServiceName),
  kind: z.enum(['tcp', 'udp']),
  port: z.int().min(1).max(65_535),
  bind: z.array(z.string().max(64)).max(8).nullable(),
})
const fileSchema = z.strictObject({ format: z.literal(1), proxies: z.array(keptSchema).max(MAX_PROXIES) })

/** A proxy that is there again after a restart. `bind` null: loopback. */
export type KeptProxy = z.output<typeof keptSchema>

/** The file of kept proxies. */
export interface KeptProxies {
  readonly list: readonly KeptProxy[]
  /** Replaces the list, on disk first. */
  write(make: (list: readonly KeptProxy[]) => KeptProxy[]): Promise<void>
}

/** Reads the file; one that is damaged is set aside. */
export async function openKeptProxies(
  file: string,
  { clock, log }: { clock: Clock; log: Logger },
): Promise<KeptProxies> {
  const queue = new SerialQueue()
  let list: readonly KeptProxy[] = []
  const text = (await readFileBounded(file, MAX_FILE_BYTES))?.toString('utf8')
  try {
    if (text !== undefined) list = fileSchema.parse(JSON.parse(text)).proxies
  } catch (error) {
    const aside = await setAside(file, clock.now())
    log.error({ file, aside, err: error }, 'the file of kept proxies is damaged; none is opened')
  }
  return {
    get list() {
      return list
    },
    write: (make) =>
      queue.run(async () => {
        const next = make(list)
        await writeFileAtomic(file, `${JSON.stringify({ format: 1, proxies: next }, null, 2)}\n`)
        list = next
      }),
  }
}
