import { z } from 'zod'
import { defineCall } from '../api/contract.ts'

/** Longest upload. The package's own limit (transfer.max_package_bytes) is on what is in it. */
const MAX_UPLOAD_BYTES = 16 * 1024 ** 3

const digest = z.string().regex(/^[0-9a-f]{64}$/, 'must be a package digest of 64 hex digits')

const signer = z.object({ key: z.string(), name: z.string() })

const packageView = z.object({
  digest,
  name: z.string(),
  version: z.string(),
  /** Bytes of content, uncompressed. */
  size: z.int(),
  files: z.int(),
  platforms: z.array(z.string()),
  /** Keys that signed it, whether trusted or not. */
  keys: z.array(z.string()),
  /** All of it is here. */
  complete: z.boolean(),
})

/** The calls of the noun `package`. */
export const transferContract = {
  upload: defineCall({
    method: 'POST',
    path: '/v1/package',
    role: 'operator',
    summary:
      'Stores a package. The body: four bytes, big-endian, the length of the signature envelope (0: unsigned), the envelope, the tar.gz.',
    // Whoever may deploy an app may have any package fetched for it; so it may bring one as well.
    query: z.object({
      app: z.string().max(63).optional().describe('the app that it is for, where the right is narrowed'),
    }),
    subject: ({ query }) => ({ app: (query as { app?: string } | undefined)?.app }),
    upload: { maxBytes: MAX_UPLOAD_BYTES },
    response: z.object({
      digest,
      name: z.string(),
      version: z.string(),
      size: z.int(),
      added: z.boolean(),
      signers: z.array(signer),
      warnings: z.array(z.string()),
    }),
  }),
  list: defineCall({
    method: 'GET',
    path: '/v1/package',
    role: 'viewer',
    summary: 'The packages stored on this node.',
    response: z.array(packageView),
  }),
  get: defineCall({
    method: 'GET',
    path: '/v1/package/{digest}',
    role: 'viewer',
    summary: 'One stored package.',
    params: z.object({ digest }),
    response: packageView,
  }),
  remove: defineCall({
    method: 'DELETE',
    path: '/v1/package/{digest}',
    role: 'operator',
    summary: 'Removes a package that is not in use.',
    params: z.object({ digest }),
    response: z.object({ removed: z.literal(true) }),
  }),
}

/** The body of an upload: the length of the signature envelope (0 where there is none), the envelope, the archive. */
export async function* frameUpload(
  signature: Uint8Array | undefined,
  archive: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, signature?.length ?? 0)
  yield length
  if (signature !== undefined) yield signature
  yield* archive
}
