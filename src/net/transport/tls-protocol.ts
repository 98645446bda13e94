/** The secured channel's protocol, as the membership proof names it: libp2p's TLS, whatever carries it. */
export const TLS_PROTOCOL = '/tls/1.0.0'
