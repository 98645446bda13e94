import { apiErrors, type Caller, implement, type Route } from '../api/index.ts'
import type { Clock } from '../base/clock.ts'
import { rejectOnAbort, sleep } from '../base/wait.ts'
import { type PathView, serviceContract } from './contract.ts'
import { PATH_CHECK_MS } from './limits.ts'
import type { ServiceProxy } from './proxy.ts'
import type { Services } from './services.ts'

/** The calls of `serviceContract`. */
export function serviceRoutes(services: Services, { clock }: { clock: Clock }): Route[] {
  const { finder, proxies } = services
  return [
    implement(serviceContract.list, async ({ query, caller, signal }) => {
      // What other nodes tell, they tell this one; a peer asks them itself.
      if (query.own || (caller.door === 'peer' && query.node === undefined)) {
        return { services: finder.ownViews(caller), silent: [] }
      }
      requireLocal(caller)
      return await finder.list({ node: query.node, signal })
    }),
    implement(serviceContract.expose, ({ body, caller }) => services.expose(body, byOf(caller))),
    implement(serviceContract.unexpose, ({ params, caller }) => services.unexpose(params.service, byOf(caller))),
    implement(serviceContract.proxy, ({ body, signal }) =>
      body.pipe ? pipeEvents(services, body, signal) : proxyEvents(services, body, { signal, clock }),
    ),
    implement(serviceContract.keep, ({ body, signal }) => proxies.keep(body, signal)),
    implement(serviceContract.proxies, () => proxies.list()),
    implement(serviceContract.close, async ({ params }) => ({ closed: await proxies.close(params.proxy) })),
  ]
}

function byOf({ door, id }: Caller): string {
  return door === 'local' ? 'local' : id
}

function requireLocal({ door }: Caller): void {
  if (door !== 'local') throw apiErrors.local_only('a node tells peers of its own services only')
}

type Wanted = Parameters<Services['proxies']['open']>[0]

/** One connection: opens its socket, then waits for its end. */
async function* pipeEvents({ proxies }: Services, wanted: Wanted, signal: AbortSignal) {
  const { proxy, ended } = await proxies.pipe(wanted, signal)
  try {
    yield { event: 'open' as const, ...proxy.view() }
    await Promise.race([ended, rejectOnAbort(signal)])
  } finally {
    await proxies.close(proxy.id).catch(() => undefined)
  }
}

/** Lives as long as its reader: tells where it listens, how the way to the node changes, and who could not be served. */
async function* proxyEvents(
  { proxies, pathOf }: Services,
  wanted: Wanted,
  { signal, clock }: { signal: AbortSignal; clock: Clock },
) {
  const proxy = await proxies.open(wanted, signal)
  const failures = watchFailures(proxy)
  try {
    const first = proxy.view()
    yield { event: 'open' as const, ...first }
    let shown: string = wayOf(first)
    while (!signal.aborted && proxies.list().some(({ id }) => id === proxy.id)) {
      for (const { code, message, hint } of failures.take())
        yield { event: 'failed' as const, code, message, hint: hint ?? null }
      const now = pathOf(proxy.target.peer)
      if (wayOf(now) !== shown) yield { event: 'path' as const, ...now }
      shown = wayOf(now)
      await Promise.race([sleep(PATH_CHECK_MS, { signal, clock }), failures.next()])
    }
  } finally {
    failures.end()
    await proxies.close(proxy.id).catch(() => undefined)
  }
}

/** Equal for the same way, however long its round trips are. */
function wayOf({ path, carrier, via, why }: PathView): string {
  return JSON.stringify([path, carrier, via, why])
}

/** Failures that wait to be told; of a burst the last few. */
const MAX_WAITING = 16

function watchFailures(proxy: ServiceProxy) {
  type Failure = Parameters<Parameters<typeof proxy.events.on<'failed'>>[1]>[0]
  let waiting: Failure[] = []
  let wake = Promise.withResolvers<void>()
  const end = proxy.events.on('failed', (failure) => {
    waiting = [...waiting, failure].slice(-MAX_WAITING)
    wake.resolve()
  })
  return {
    end,
    next: () => wake.promise,
    take(): Failure[] {
      const taken = waiting
      waiting = []
      wake = Promise.withResolvers()
      return taken
    },
  }
}
