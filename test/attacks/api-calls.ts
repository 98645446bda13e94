/** Every call of a daemon's API, as its own document lists them, with requests that a caller might make up. */
import { ROLES, type Role } from '../../src/api/index.ts'
import { daemonContract } from '../../src/daemon/contract.ts'
import type { Daemon } from './daemon.ts'
import type { ApiRequest } from './hostile-peer.ts'

/** A call as the OpenAPI document has it. */
export interface ApiCall {
  readonly method: string
  readonly path: string
  readonly role: Role
  readonly localOnly: boolean
  readonly query: readonly string[]
  readonly body: Schema | undefined
  readonly upload: boolean
}

interface Schema {
  readonly type?: string
  readonly pattern?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly default?: unknown
  readonly minimum?: number
  readonly minLength?: number
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
}

interface Operation {
  readonly description: string
  readonly parameters: readonly { readonly name: string; readonly in: 'path' | 'query' }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
}

/** Values of the real network, by the name of the field or parameter that takes them. */
export type Known = Readonly<Record<string, unknown>>

/** The calls that a daemon answers, read from its own document. */
export async function callsOf(daemon: Daemon): Promise<ApiCall[]> {
  const document = await (await daemon.client()).call(daemonContract.openapi, {})
  const paths = document.paths as Record<string, Record<string, Operation>>
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { description, parameters, requestBody }]) => {
      const role = ROLES.find((name) => description.includes(`Needs the role ${name}.`))
      if (role === undefined) throw new Error(`${method} ${path} does not say which role it needs`)
      return {
        method: method.toUpperCase(),
        path,
        role,
        localOnly: description.includes('Own socket only.'),
        query: parameters.filter((one) => one.in === 'query').map(({ name }) => name),
        body: requestBody?.content['application/json']?.schema,
        upload: requestBody?.content['application/octet-stream'] !== undefined,
      }
    }),
  )
}

/** The request that an honest client with the right to it would make. */
export function plausibleRequest({ method, path, body, upload }: ApiCall, known: Known): ApiRequest {
  const filled = path.replaceAll(/\{([a-z_]+)\}/g, (_whole, name: string) =>
    encodeURIComponent(String(known[name] ?? 'one')),
  )
  if (upload) return { method, path: filled, body: 'no archive' }
  if (body === undefined) return { method, path: filled }
  return { method, path: filled, body: JSON.stringify(exampleOf(body, '', known)) }
}

const BAD_PARTS = [
  '..%2f..%2f..%2fetc%2fpasswd',
  '%00',
  '__proto__',
  'constructor',
  '*',
  '%E0%A4%A',
  `${'a'.repeat(4000)}`,
  '-1',
]
const BAD_BODIES = [
  '',
  'null',
  '[]',
  '{"__proto__":{"role":"admin"},"constructor":{"prototype":{"role":"admin"}}}',
  `${'['.repeat(50_000)}`,
  `{"app":"${'x'.repeat(1_100_000)}"}`,
  '{"apps":true,"role":"admin","caller":{"role":"admin","door":"local"}}',
  '\u0000\u0001\u0002',
]
const QUERY_TAIL = 'follow=true&tail=1e99&cursor=..%2f..&since=-1&on=*&on=__proto__&timeout_ms=-5&__proto__[role]=admin'

/** Requests with bad values in every place, and with headers and spellings that claim more than the caller has. */
export function hostileRequests(call: ApiCall, known: Known, cookie: string): ApiRequest[] {
  const plain = plausibleRequest(call, known)
  const parts = /\{[a-z_]+\}/.test(call.path) ? BAD_PARTS : []
  const claims: Record<string, string>[] = [
    { authorization: `Bearer ${cookie}`, 'warren-node': String(known.node) },
    { 'x-forwarded-for': '127.0.0.1', 'warren-role': 'admin', 'x-http-method-override': call.method },
    { 'transfer-encoding': 'chunked', 'content-type': 'text/plain' },
  ]
  const { path } = plain
  const spellings = [
    `/${path}`,
    `/v1/app/../..${path}`,
    `http://warren${path}`,
    `${path}/`,
    `${path}#/v1/daemon/status`,
    path.replace('/v1/', '/V1/'),
    path.replace(/.$/, (last) => `%${last.charCodeAt(0).toString(16)}`),
  ]
  return [
    ...parts.map((part) => ({ ...plain, path: call.path.replaceAll(/\{[a-z_]+\}/g, part) })),
    ...(call.body === undefined ? [] : BAD_BODIES.map((body) => ({ ...plain, body }))),
    ...claims.map((headers) => ({ ...plain, headers })),
    ...spellings.map((spelling) => ({ ...plain, path: spelling })),
    { ...plain, path: `${path}?${QUERY_TAIL}` },
  ]
}

/** A value that the schema takes. */
function exampleOf(schema: Schema, name: string, known: Known): unknown {
  if (name in known) return known[name]
  if (schema.default !== undefined) return schema.default
  if (schema.const !== undefined) return schema.const
  if (schema.enum !== undefined) return schema.enum[0]
  if (schema.anyOf !== undefined) return exampleOf(schema.anyOf[0] as Schema, name, known)
  switch (schema.type) {
    case 'object': {
      const fields = Object.entries(schema.properties ?? {}).filter(([key]) => schema.required?.includes(key))
      return Object.fromEntries(fields.map(([key, field]) => [key, exampleOf(field, key, known)]))
    }
    case 'array':
      return schema.items === undefined ? [] : [exampleOf(schema.items, name, known)]
    case 'integer':
    case 'number':
      return schema.minimum ?? 1
    case 'boolean':
      return true
    case 'null':
      return null
    default:
      return schema.pattern?.includes('{64}') ? 'a'.repeat(64) : 'x'.repeat(schema.minLength ?? 3)
  }
}
