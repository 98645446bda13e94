/** The nodes whose paths are tested: a public relay, and four homes, each behind a NAT of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Internet, makeInternet } from './internet.ts'
import { addressOf, enter, type Machine, warrenOn } from './warren-on.ts'

export interface FourHomes {
  readonly internet: Internet
  readonly relay: Machine
  /** Direct paths lead from `a` to `b`; between `c` and `d` there is none. */
  readonly nodes: Readonly<Record<'a' | 'b' | 'c' | 'd', Machine>>
  readonly folder: string
  /** Ends all that runs there, and deletes it. */
  remove(): Promise<void>
}

/** One network, all of whose daemons run. Needs root and network namespaces. */
export async function startFourHomes(): Promise<FourHomes> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-homes-'))
  const internet = makeInternet({
    routers: {
      home: { nat: 'EIM/APDF' },
      office: { nat: 'EIM/APDF' },
      cellar: { nat: 'APDM/APDF' },
      attic: { nat: 'APDM/APDF' },
    },
    hosts: {
      relay: {},
      a: { behind: 'home' },
      b: { behind: 'office' },
      c: { behind: 'cellar' },
      d: { behind: 'attic' },
    },
  })
  const remove = async (): Promise<void> => {
    internet.remove()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const relay = await warrenOn({ internet, host: 'relay', folder, env: { WARREN_RELAY_SERVE: 'always' } })
    await enter(relay)
    const env = { WARREN_RELAY_SERVERS: await addressOf(relay, internet) }
    const bringIn = async (host: string): Promise<Machine> => {
      const node = await warrenOn({ internet, host, folder, env })
      await enter(node, relay)
      return node
    }
    const [a, b, c, d] = await Promise.all([bringIn('a'), bringIn('b'), bringIn('c'), bringIn('d')])
    return { internet, relay, nodes: { a, b, c, d }, folder, remove }
  } catch (error) {
    await remove()
    throw error
  }
}
