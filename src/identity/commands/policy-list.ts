import { defineCommand } from '../../command/index.ts'
import { type PolicyView, policyContract } from '../contract.ts'
import { fingerprintOf } from '../ed25519.ts'
import { readRosterIn } from '../home-folders.ts'
import { policyViewOf } from '../policy-view.ts'
import { askOrRead } from './places.ts'

/** `warren policy list` */
export const policyListCommand = defineCommand({
  name: 'policy list',
  aliases: ['policies'],
  summary: 'Show what packages need beyond a trusted signature',
  examples: [{ does: 'all policies of the network', words: 'policies' }],
  run: async ({ context }) => {
    const policies = await askOrRead<PolicyView[]>(context, {
      ask: (client) => client.call(policyContract.list, {}, { signal: context.signal }),
      read: async ({ rosterFolder }) => {
        const state = (await readRosterIn(rosterFolder))?.state
        return state === undefined ? [] : [...state.policies.values()].map((policy) => policyViewOf(policy, state))
      },
    })
    return {
      json: policies,
      human: {
        columns: [{ title: 'NAME' }, { title: 'PACKAGES' }, { title: 'ON' }, { title: 'NEEDS' }],
        rows: policies.map((policy) => [
          policy.name,
          policy.packages.join(','),
          policy.labels === '' ? 'all' : policy.labels,
          needsOf(policy),
        ]),
        empty:
          'No policy: a signature by any trusted key is enough. Make one: warren policy set NAME --package PATTERN',
      },
    }
  },
})

/** One line for people: which packages, where, and what they need. */
export function describePolicy(policy: PolicyView): string {
  const where = policy.labels === '' ? '' : ` on ${policy.labels}`
  return `${policy.packages.join(', ')}${where} needs ${needsOf(policy)}`
}

function needsOf({ keys, threshold, min_version }: PolicyView): string {
  const names = keys.map(({ name, key_id }) => name ?? fingerprintOf(key_id)).join(', ')
  const signatures = threshold === 1 ? '1 signature' : `${threshold} signatures`
  const whose = keys.length === 0 ? 'by any trusted key' : keys.length === 1 ? `by ${names}` : `of ${names}`
  return `${signatures} ${whose}${min_version === null ? '' : `, ${min_version} or newer`}`
}
