import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContext } from 'node:tls'
import { generateKeyPair } from '@libp2p/crypto/keys'

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
  const { generateCertificate } = await import('@libp2p/tls/utils')
  return createSecureContext({
    ...(await generateCertificate(await generateKeyPair('Ed25519'))),
    minVersion: 'TLSv1.2',
  })
}
