import { implement, type Route } from '../../api/index.ts'
import { dhtContract } from './contract.ts'
import { dhtErrors } from './errors.ts'
import type { Dht } from './types.ts'

interface DhtRoutesInit {
  /** Null where it is switched off, which each call then says. */
  dht: () => Dht | null
  /** The name of a peer; null where it has none. */
  nameOf: (peer: string) => string | null
}

/** The calls about the private table. */
export function dhtRoutes({ dht, nameOf }: DhtRoutesInit): Route[] {
  return [
    implement(dhtContract.bootstrap, async ({ signal }) => {
      const running = dht()
      if (running === null) {
        throw dhtErrors.dht_not_running('this node takes no part in the private table', {
          hint: 'Switch it on: warren config set net.dht true',
        })
      }
      const { contacts, tried } = await running.bootstrap({ signal })
      return { contacts, tried: tried.map(({ seed, error }) => ({ seed, name: nameOf(idIn(seed)), error })) }
    }),
  ]
}

/** A seed is an id, or an address that may end in one. */
function idIn(seed: string): string {
  return seed.slice(seed.lastIndexOf('/') + 1)
}
