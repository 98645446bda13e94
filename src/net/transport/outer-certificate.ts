import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContext } from 'node:tls'
import { signerFromSeed } from '../../identity/index.ts'
import { makePeerCertificate } from './peer-certificate.ts'

/** Files with the certificate, and its key, that an address with `/tls/ws` shows; PEM. */
export interface OuterCertificate {
  readonly certificate: string
  readonly key: string
}

/**
 * What stands before a WebSocket on an address with `/tls/ws`, so that it looks like any web server. It protects
 * nothing, for the channel inside is secured by itself; without files it is a certificate that says nothing about
 * this node.
 */
export async function outerContext(files: OuterCertificate | undefined): Promise<SecureContext> {
  if (files !== undefined) {
    const [cert, key] = await Promise.all([readFile(files.certificate), readFile(files.key)])
    return createSecureContext({ cert, key, minVersion: 'TLSv1.2' })
  }
  return createSecureContext({
    ...(await makePeerCertificate(signerFromSeed(randomBytes(32)))),
    minVersion: 'TLSv1.2',
  })
}
