import { defineErrors } from '../../base/errors.ts'

/** What can go wrong in the private table of the network. */
export const dhtErrors = defineErrors({
  dht_record_invalid: {
    status: 400,
    summary: 'A record of the private table is not signed by a member, too old or too long, or not of its form.',
  },
  dht_full: { status: 429, summary: 'This node keeps no more of the private table for that author, or in all.' },
  dht_not_running: { status: 503, summary: 'The private table is not started on this node: see net.dht.' },
})
