import { z } from 'zod'
import type { AnyCall } from './contract.ts'

/** The OpenAPI 3.1 document of these calls, as a JSON value with stable order. */
export function openApiOf(
  calls: readonly AnyCall[],
  info: { title: string; version: string },
): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const call of [...calls].sort((a, b) => (a.path + a.method < b.path + b.method ? -1 : 1))) {
    paths[call.path] = { ...paths[call.path], [call.method.toLowerCase()]: operationOf(call) }
  }
  return {
    openapi: '3.1.0',
    info: {
      ...info,
      description: 'Served on the socket of the daemon (bearer token: the cookie) and to peers under their roles.',
    },
    security: [{ cookie: [] }],
    paths,
    components: {
      securitySchemes: { cookie: { type: 'http', scheme: 'bearer' } },
      schemas: {
        Error: {
          type: 'object',
          required: ['error'],
          properties: {
            error: {
              type: 'object',
              required: ['code', 'message', 'hint'],
              properties: { code: { type: 'string' }, message: { type: 'string' }, hint: { type: ['string', 'null'] } },
            },
          },
        },
      },
    },
  }
}

function operationOf(call: AnyCall): Record<string, unknown> {
  const answer = call.kind === 'call' ? schemaOf(call.response, 'output') : schemaOf(call.event, 'output')
  const type = call.kind === 'call' ? 'application/json' : 'application/jsonl'
  const streamed = 'JSON lines: {"event": …} each, {"heartbeat": true} in silence, then {"end": true} or {"error": …}.'
  return {
    summary: call.summary,
    tags: [call.path.split('/')[2]],
    description: `Needs the role ${call.role}.${call.localOnly === true ? ' Own socket only.' : ''}`,
    parameters: [...parametersOf(call.params, 'path'), ...parametersOf(call.query, 'query')],
    ...(call.body === undefined
      ? {}
      : { requestBody: { content: { 'application/json': { schema: schemaOf(call.body, 'input') } } } }),
    ...(call.upload === undefined
      ? {}
      : { requestBody: { content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } } } }),
    responses: {
      200: { description: call.kind === 'call' ? 'The answer.' : streamed, content: { [type]: { schema: answer } } },
      default: {
        description: 'An error.',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  }
}

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query'): unknown[] {
  if (schema === undefined) return []
  return Object.entries(schema.shape).map(([name, field]) => ({
    name,
    in: place,
    required: place === 'path',
    schema: schemaOf(field as z.ZodType, 'input'),
  }))
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): unknown {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Record<
    string,
    unknown
  >
  return json
}
