import { implement, type Route } from '../../api/index.ts'
import { dhtContract } from './contract.ts'
import { dhtErrors } from './errors.ts'
import type { Dht } from './types.ts'

/** The calls about the private table; null where it is switched off, which each call then says. */
export function dhtRoutes(dht: () => Dht | null): Route[] {
  return [
    implement(dhtContract.bootstrap, async ({ signal }) => {
      const running = dht()
      if (running === null) {
        throw dhtErrors.dht_not_running('this node takes no part in the private table', {
          hint: 'Switch it on: warren config set net.dht true',
        })
      }
      const { contacts, tried } = await running.bootstrap({ signal })
      return { contacts, tried: [...tried] }
    }),
  ]
}
