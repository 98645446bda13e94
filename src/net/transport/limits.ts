/** Bytes that came and that nobody has taken yet; the muxer takes all at once, so only one who talks out of turn has any. */
export const MAX_UNREAD_BYTES = 1024 * 1024
/** Bytes that wait for a connection to take them: the frames of all streams in one moment, and answers to a flood of pings. */
export const MAX_UNSENT_BYTES = 16 * 1024 * 1024

/** Time for a connection to say what it is, and to be secured; slow links and busy small machines included. */
export const INBOUND_HANDSHAKE_MS = 10_000
/** Time for a TCP connection to open. */
export const CONNECT_TIMEOUT_MS = 5_000
/** Time for one way of securing a connection that was dialled, so that a filter that swallows it costs no more. */
export const OUTBOUND_HANDSHAKE_MS = 4_000
/** Of a WebSocket message, which is kept until it is whole: what TLS encrypts in one go is far below it. */
export const MAX_WEBSOCKET_MESSAGE_BYTES = 1024 * 1024
/** Of a frame: four TLS records. Larger ones are whole in memory before they are handed on, and keep other streams waiting. */
export const MAX_FRAME_BYTES = 64 * 1024 - 12
