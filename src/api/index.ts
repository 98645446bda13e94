/**
 * api: one contract, three doors. A feature defines each call once, in its `contract.ts`; the router built here serves
 * it on the daemon's socket, to peers over a network stream, and on loopback to the console; the client calls it.
 *
 * Everything is ordinary HTTP/1.1 with JSON. A stream is JSON lines: events, a heartbeat every 15 seconds, and at the
 * end either `{"end":true}` or `{"error":…}`, so that a broken connection never looks like a complete answer. The api
 * never decides who a caller is (the door does) and knows no feature.
 *
 * ```ts
 * const contract = { status: defineCall({ method: 'GET', path: '/v1/status', role: 'viewer', summary: 'This node', response }) }
 * const router = createRouter({ routes: [implement(contract.status, () => status())], log })
 * const { name } = await client.call(contract.status, {})
 * ```
 */
export { type ClientOptions, createClient } from './client.ts'
export * from './contract.ts'
export { endAnswer } from './end-answer.ts'
export { apiErrors } from './errors.ts'
export { connectLocal, folderFault, type LocalDoor, localDoorOf } from './local-door.ts'
export { openApiOf } from './openapi.ts'
export { queryFlag } from './query.ts'
export * from './rights.ts'
export { createRouter, type Router, type RouterOptions, writeError } from './router.ts'
