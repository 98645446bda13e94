import { createSecureContext, type SecureContext } from 'node:tls'
import type { PrivateKey } from '@libp2p/interface'
import { makePeerCertificate } from './peer-certificate.ts'

/** The secure context of this node, with libp2p's certificate for its key; made once, when the first channel needs it. */
export type ContextSource = () => Promise<SecureContext>

/** A context for TLS 1.3 alone, whose certificate names the peer id of `privateKey` as libp2p's TLS specification says. */
export function nodeContext(privateKey: PrivateKey): ContextSource {
  let made: Promise<SecureContext> | undefined
  const peer = { publicKey: privateKey.publicKey.raw, sign: (bytes: Uint8Array) => privateKey.sign(bytes) }
  return () => {
    made ??= makePeerCertificate(peer).then((certificate) =>
      createSecureContext({ ...certificate, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' }),
    )
    return made
  }
}
