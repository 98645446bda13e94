/**
 * A way of securing a connection that did not get as far as an authenticated peer: something between the two nodes may
 * have spoiled it, so that another way is worth a try.
 */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError'
}
