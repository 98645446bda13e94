import { defineErrors } from '../base/errors.ts'

/** What can go wrong with stored and moving packages. */
export const transferErrors = defineErrors({
  package_not_found: { status: 404, summary: 'No package with that digest is stored on this node.' },
  package_incomplete: {
    status: 409,
    summary: 'The package is known here, but not all of its chunks have arrived yet.',
  },
  package_damaged: {
    status: 500,
    summary: 'What is stored of a package no longer has the hash it must have; fetching it again repairs it.',
  },
  package_in_use: { status: 409, summary: 'The package is in use and cannot be removed.' },
  package_over_limit: {
    status: 413,
    summary: 'The package is larger than this node accepts (transfer.max_package_bytes).',
  },
  package_unavailable: { status: 503, summary: 'None of the sources could give the package, or the rest of it.' },
  source_dishonest: { status: 502, summary: 'A source sent bytes that do not have the hash that was asked for.' },
  source_refused: {
    status: 502,
    summary: 'A source refused to send: it lacks the package or does not serve this node.',
  },
  source_slow: { status: 504, summary: 'A source sent nothing for the time that one chunk may take.' },
  transfer_broken: { status: 502, summary: 'A source ended its stream before everything had come.' },
  transfer_malformed: { status: 502, summary: 'What another node sent does not follow the transfer protocol.' },
  tree_mismatch: {
    status: 409,
    summary: 'A folder does not hold exactly the content of the package it was said to hold.',
  },
  upload_invalid: {
    status: 400,
    summary: 'An upload does not begin with the length of a signature envelope, or the envelope is of another package.',
  },
})
