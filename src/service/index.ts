/**
 * service: TCP and UDP through the network. A node exposes ports under names; another one listens for them on its own
 * machine, by command, kept, over standard input and output, or at a name below `.warren`.
 *
 * The daemon makes it, the API and the command line show it. Every connection is a stream of its own, judged by the node
 * that exposes, by the roster of now, and cut when the right to it goes. It keeps half-close, back-pressure and resets,
 * and knows nothing of what the bytes mean. It never gives rights (`member` does), never picks a path (`net` does), and
 * never exposes what nobody has asked for.
 *
 * ```ts
 * const services = await createServices({ folder, doorFolder, network, directory, identify, onRightsChange, whenExchanged,
 *   whomToAsk, settings, tell, clock, log, counters })
 * await services.start()
 * await services.expose({ name: 'postgres', target: '5432', kind: 'tcp', to: [] })
 * const proxy = await services.proxies.open({ node: 'office', service: 'postgres' }, signal)   // 127.0.0.1:5432, [::1]:5432
 * ```
 */
export type { PathView, ProxyView, ServiceKind, ServiceView } from './contract.ts'
export type { Finder, Wanted } from './find.ts'
export type { Proxies } from './proxies.ts'
export { serviceRoutes } from './routes.ts'
export { createServices, type ExposeRequest, type Services, type ServicesOptions } from './services.ts'
