import { allows, implement, type Route } from '../api/index.ts'
import type { Directory } from '../member/index.ts'
import type { Apps } from './apps.ts'
import { appContract } from './contract.ts'
import type { Summaries } from './protocol/summaries.ts'

/** What `list` needs besides this node's apps: who is there, and what each said last. */
export interface Fleet {
  readonly directory: Directory
  readonly summaries: Summaries
}

/** The calls of `appContract`, answered by one node's apps, and `list` by what all nodes said last. */
export function appRoutes(apps: Apps, { directory, summaries }: Fleet): Route[] {
  return [
    implement(appContract.list, ({ query, caller }) => {
      const nodes = query.on === undefined ? directory.nodes() : directory.select(query.on)
      const rows = summaries.rows(nodes.map(({ id }) => id))
      return rows.filter(({ app }) => allows(caller.rights, appContract.list.role, { app }))
    }),
    implement(appContract.status, ({ params }) => apps.status(params.app)),
    implement(appContract.start, ({ params }) => apps.startApp(params.app)),
    implement(appContract.stop, ({ params }) => apps.stopApp(params.app)),
    implement(appContract.restart, ({ params }) => apps.restartApp(params.app)),
    implement(appContract.remove, ({ params, body }) => apps.removeApp(params.app, body)),
    implement(appContract.versions, ({ params }) => apps.versions(params.app)),
    implement(appContract.switch, ({ params, body }) => apps.switchVersion(params.app, body.version)),
    implement(appContract.rollback, ({ params }) => apps.rollback(params.app)),
    implement(appContract.history, ({ params }) => apps.history(params.app)),
    implement(appContract.logs, ({ params, query, signal }) =>
      apps.logs({
        instance: params.app,
        follow: query.follow === 'true',
        tail: query.tail,
        cursor: query.cursor,
        sinceMs: query.since,
        streams: query.stderr === 'true' ? ['stderr'] : ['stdout', 'stderr'],
        signal,
      }),
    ),
  ]
}
