import { toWarrenError } from '../base/errors.ts'
import type { Directory } from '../member/index.ts'
import type { ServiceView } from './contract.ts'
import { serviceErrors } from './errors.ts'
import { type Exposed, roleIn, type Service } from './exposed.ts'
import { FIND_TIMEOUT_MS, LIST_TIMEOUT_MS } from './limits.ts'
import type { ListedService } from './protocol/messages.ts'
import { type Asker, maySeeTarget, mayUse } from './rights.ts'
import { formatTarget, isServiceName } from './service-name.ts'

/** A service that was asked for, as people write it. */
export interface Wanted {
  /** A node; `NODE/SERVICE`; or a name out of the config. */
  readonly node: string
  readonly service?: string | undefined
}

/** What a node answered to the question what it exposes, or why it did not. */
export interface Answers {
  readonly services: ServiceView[]
  readonly silent: { readonly node: string; readonly reason: string }[]
}

/** Finds services, here and on other nodes. */
export interface Finder {
  /** What a peer is told of the services of this node. */
  own(asker: Asker): ListedService[]
  /** The same for people: names in place of ids. */
  ownViews(asker: Asker): ServiceView[]
  /** The services of one node, or of all that are connected, asked at once. Fails with `node_not_found`. */
  list(options: { node?: string | undefined; signal: AbortSignal }): Promise<Answers>
  /** The node and service that are meant. Fails with `service_unnamed`, `node_not_found`, `node_ambiguous`. */
  resolve(wanted: Wanted): { peer: string; service: string }
  /** That service, as its node tells. Fails with `service_not_found`, and as the network. */
  describe(peer: string, service: string, signal: AbortSignal): Promise<ListedService>
  /** All of a node, as it tells. Fails as the network. */
  listOf(peer: string, options: { signal: AbortSignal; timeoutMs: number }): Promise<ListedService[]>
  nameOf(peer: string): string
  /** The name of this node. */
  self(): string
}

export interface FinderOptions {
  readonly directory: Directory
  readonly exposed: Exposed
  /** `service.names`. */
  readonly names: Readonly<Record<string, string>>
  /** Asks a node. */
  readonly ask: (peer: string, options: { signal: AbortSignal; timeoutMs: number }) => Promise<ListedService[]>
}

export function createFinder({ directory, exposed, names, ask }: FinderOptions): Finder {
  const nameOf = (id: string): string => directory.nameOf(id) ?? id
  const viewOf = (peer: string, { to, ...service }: ListedService): ServiceView => ({
    node: nameOf(peer),
    ...service,
    to: to.map((word) => (roleIn(word) === undefined ? nameOf(word) : word)),
  })
  const own: Finder['own'] = (asker) =>
    asker.rights === undefined ? [] : exposed.list().map((each) => told(each, asker))
  const self = (): Asker => ({ id: directory.self.id, rights: { role: 'admin', grants: [] } })
  const listOf = async (peer: string, options: { signal: AbortSignal; timeoutMs: number }) =>
    peer === directory.self.id ? own(self()) : await ask(peer, options)

  return {
    own,
    ownViews: (asker) =>
      own(asker).map((service) => viewOf(asker.id === directory.self.id ? asker.id : directory.self.id, service)),
    nameOf,
    self: () => directory.self.name,
    listOf,
    async list({ node, signal }) {
      const asked =
        node === undefined ? directory.nodes().filter(({ state }) => state !== 'down') : [directory.resolve(node)]
      const timeoutMs = node === undefined ? LIST_TIMEOUT_MS : FIND_TIMEOUT_MS
      const answers: Answers = { services: [], silent: [] }
      const listed = await Promise.all(
        asked.map(async ({ id, name }) => {
          try {
            return (await listOf(id, { signal, timeoutMs })).map((service) => viewOf(id, service))
          } catch (error) {
            signal.throwIfAborted()
            answers.silent.push({ node: name, reason: toWarrenError(error).message })
            return []
          }
        }),
      )
      answers.services.push(...listed.flat())
      return answers
    },
    resolve: (wanted) => {
      const [node, service] = wordsOf(wanted, names)
      if (!isServiceName(service)) throw serviceErrors.service_not_found(`"${service}" cannot be the name of a service`)
      return { peer: directory.resolve(node).id, service }
    },
    async describe(peer, service, signal) {
      const found = (await listOf(peer, { signal, timeoutMs: FIND_TIMEOUT_MS })).find(({ name }) => name === service)
      if (found !== undefined) return found
      throw serviceErrors.service_not_found(`${nameOf(peer)} exposes no service "${service}"`, {
        hint: `See what it exposes: warren services ${nameOf(peer)}`,
      })
    },
  }
}

function told(service: Service, asker: Asker): ListedService {
  const { name, kind, port, to } = service
  return {
    name,
    kind,
    port,
    target: maySeeTarget(service, asker) ? formatTarget(service) : null,
    to,
    allowed: mayUse(service, asker),
  }
}

function wordsOf({ node, service }: Wanted, names: Readonly<Record<string, string>>): [node: string, service: string] {
  if (service !== undefined) return [node, service]
  const path = Object.hasOwn(names, node) ? (names[node] as string) : node
  const slash = path.indexOf('/')
  if (slash > 0) return [path.slice(0, slash), path.slice(slash + 1)]
  throw serviceErrors.service_unnamed(`"${node}" is neither NODE/SERVICE nor a name in service.names`, {
    hint: `Name the service too: warren proxy ${node} SERVICE, or see what there is: warren services ${node}`,
  })
}
