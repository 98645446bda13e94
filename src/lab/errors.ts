import { defineErrors } from '../base/errors.ts'

export const labErrors = defineErrors({
  lab_not_found: { status: 404, summary: 'There is no lab in that home.' },
  lab_nodes_differ: { status: 409, summary: 'A lab with another number of nodes is already there.' },
  lab_not_joined: { status: 504, summary: 'The nodes of the lab did not all see each other in time.' },
  demo_failed: { status: 500, summary: 'A step of the demo did not end as it should.' },
})
