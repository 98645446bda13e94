import type { Subject, SubjectInput } from '../api/index.ts'

/** The app that a request for a deploy is about. */
export function appOfRequest({ body }: Pick<SubjectInput, 'body'>): Subject {
  const request = body as { app?: string; package?: { name?: string } } | undefined
  return subjectOf(request?.app ?? request?.package?.name)
}

/**
 * The app that a signed document names, as far as it can be read: which rights its sender needs. Whether it is signed,
 * and by whom, the ledger checks on the same bytes.
 */
export function appOfDocument({ body }: Pick<SubjectInput, 'body'>): Subject {
  const payload = (body as { envelope?: { payload?: string } } | undefined)?.envelope?.payload
  try {
    const document = JSON.parse(Buffer.from(payload ?? '', 'base64').toString('utf8')) as { app?: unknown } | null
    return subjectOf(document?.app)
  } catch {
    return {}
  }
}

function subjectOf(app: unknown): Subject {
  return typeof app === 'string' ? { app } : {}
}
