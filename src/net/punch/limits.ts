/** Everything that an attempt may use: time, sockets, packets and addresses. docs/protocols/punch.md says the sums. */

export const PUNCH_PROTOCOL = '/warren/punch/1'
/** A message with 16 + 8 addresses of 45 characters fits four times. */
export const MAX_MESSAGE_BYTES = 8 * 1024
/** Streams of this protocol that a peer may hold: one that ends and one that begins. */
export const MAX_STREAMS = 2

/** Addresses of one message to which TCP may be tried, all lists together. */
export const MAX_TCP_ADDRESSES = 16
/** Of these the ports that are dialled from: they are tried again and again, so a mapped one for each family and one more. */
export const MAX_DIALLING_ADDRESSES = 3
/** The same for UDP. */
export const MAX_UDP_ADDRESSES = 8

/** A whole attempt, whatever it does. */
export const ATTEMPT_TIMEOUT_MS = 8_000
/** One message of the other side; a relay on another continent needs a second of it. */
export const MESSAGE_TIMEOUT_MS = 3_000
/** One question to a STUN server: TCP asks again after a second when its first packet is lost. */
export const STUN_TIMEOUT_MS = 1_500
/** TCP without birthday probing, from the synchronised start. */
export const TCP_TIMEOUT_MS = 1_500
/** TCP where only an open firewall or a common local network can help: a few round trips. */
export const TCP_HOPELESS_MS = 800
/** UDP from its start until both sides have heard each other. */
export const UDP_TIMEOUT_MS = 1_500
/** The data channel on a path that is there: ICE, DTLS and SCTP are about six round trips. */
export const DATA_CHANNEL_TIMEOUT_MS = 3_000

/** The second side's own part of the upgrade, once the first has told that it is through. */
export const SETTLE_MS = 500
/** For the proof over a data channel that is there, besides six round trips. */
export const PROOF_MS = 1_500

/** Refused and reset connections are tried again this soon: a router may refuse what comes before the own packet left. */
export const RETRY_MS = 50
/** Connections that nobody answers are begun anew after this and two round trips, sooner than TCP itself would. */
export const SILENT_RETRY_MS = 400
/** Addresses that refuse are tried this often in all by plain dialling. */
export const MAX_DIALS_PER_ADDRESS = 5
/** One channel's head start over the next one, besides three round trips. */
export const CHANNEL_HEAD_START_MS = 700
/** Channels of one attempt, those accepted from strangers included. */
export const MAX_CHANNELS = 8
/** The side that answers dials the ordinary listener of the other one only after this, since the other may be through. */
export const REVERSAL_DELAY_MS = 150

/**
 * Birthday probing: the hard side holds 256 of its router's 64,512 ports open, the easy side probes up to 2,048 of them.
 * A miss has a chance of (1 - 256 / 64,512) to the 2,048th, 3 in 10,000.
 */
export const BIRTHDAY_SOCKETS = 256
export const BIRTHDAY_PROBES = 2_048
/** Sockets opened at once by either side; with the time between waves the easy side has some 500 descriptors open. */
export const BIRTHDAY_WAVE = 128
export const BIRTHDAY_WAVE_MS = 60
/** Probes that wait at once: on a long way, or where the other side names one, each waits long. */
export const MAX_OPEN_PROBES = 1_024
/** How long a probe waits for its answer, besides two round trips. */
export const BIRTHDAY_PROBE_MS = 120
/** Plain dialling gets this head start, besides two round trips: against an open filter it is enough. */
export const BIRTHDAY_DELAY_MS = 150
/** What the waves take, and one repetition of TCP's first packet. */
export const BIRTHDAY_TIMEOUT_MS = 2_500
/** Ports below are nobody's outer port. */
export const FIRST_OUTER_PORT = 1_024

/** Between two probes to the same UDP address. */
export const UDP_PROBE_MS = 40

/** Attempts that a peer may start: bursts while a network changes, then one in 10 s. */
export const PEER_RATE = { burst: 4, perSecond: 0.1, maxKeys: 1_024 }
/** Birthday probing of the address that one peer names, and of all together: it is the only thing that tries many ports. */
export const BIRTHDAY_PEER_RATE = { burst: 2, perSecond: 1 / 60, maxKeys: 1_024 }
export const BIRTHDAY_TOTAL_RATE = { burst: 4, perSecond: 1 / 15, maxKeys: 1 }
/** Attempts at once that others started. */
export const MAX_ANSWERED = 8

/** Bytes that a data channel has under way and not yet taken by the reader; bounds the memory of both sides. */
export const DATA_WINDOW_BYTES = 1024 * 1024
/** Data channels of a node, each a process of some 50 MB. */
export const MAX_DATA_CHANNELS = 8
/** Of these with one peer: one in use, one that replaces it when its path has died, and one whose process ends. */
export const MAX_DATA_CHANNELS_PER_PEER = 3
/** After its socket has closed, for the last bytes to leave. */
export const DATA_CHANNEL_LINGER_MS = 2_000
