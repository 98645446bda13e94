import { baseErrors } from '../../base/errors.ts'
import { defineCommand, integer, list, text } from '../../command/index.ts'
import { policyContract } from '../contract.ts'
import { describePolicy } from './policy-list.ts'

/** `warren policy set NAME` */
export const policySetCommand = defineCommand({
  name: 'policy set',
  summary: 'Say what some packages need on some nodes',
  description:
    'Beyond a signature by any trusted key, which every package needs. All policies that speak of a package must hold. A\n' +
    'policy of that name is replaced. Nothing that runs is touched. Run it on an admin.',
  arguments: [{ name: 'name', description: 'name of the policy' }],
  options: {
    package: list({ value: 'PATTERN', description: 'name of a package or app, or its start and *; may repeat' }),
    on: text({ value: 'SELECTOR', description: 'on nodes with these labels (tier=prod); default all' }),
    key: list({ value: 'KEY', description: 'name or id of a key whose signature counts; may repeat; default any' }),
    threshold: integer({ value: 'N', description: 'signatures by different keys that it needs (default 1)' }),
    'min-version': text({ value: 'VERSION', description: 'nothing older is installed' }),
  },
  examples: [
    {
      does: 'the API needs two of three signatures',
      words: 'policy set api --package api --key a --key b --key c --threshold 2',
    },
    {
      does: 'production runs what the release key signed',
      words: "policy set prod --package '*' --on tier=prod --key release",
    },
    { does: 'never go back behind a fix', words: 'policy set api-fix --package api --min-version 1.4.2' },
  ],
  run: async ({ args, options, context }) => {
    if (options.package.length === 0) {
      throw baseErrors.usage('a policy needs --package', { hint: "Every package: --package '*'" })
    }
    const client = await context.connect()
    const body = {
      packages: options.package,
      labels: options.on ?? '',
      keys: options.key,
      threshold: options.threshold ?? 1,
      min_version: options['min-version'] ?? null,
    }
    const input = { params: { name: args.name }, body }
    const policy = await client.call(policyContract.set, input, { signal: context.signal })
    return { json: policy, human: `policy ${policy.name}: ${describePolicy(policy)}` }
  },
})
