import { defineCommand } from '../../command/index.ts'
import { transferContract } from '../contract.ts'
import { transferErrors } from '../errors.ts'

/** `warren package remove DIGEST` */
export const removeCommand = defineCommand({
  name: 'package remove',
  summary: 'Remove a stored package that is not in use',
  description: 'Installed versions go with "warren app remove". A removed package can be deployed again at any time.',
  arguments: [{ name: 'digest', description: 'digest of the package, or a unique beginning of it' }],
  examples: [{ does: 'remove a package', words: 'package remove 3fa94c01d2e8' }],
  run: async ({ args, context }) => {
    const client = await context.connect()
    const packages = await client.call(transferContract.list, {}, { signal: context.signal })
    const matches = packages.filter(({ digest }) => digest.startsWith(args.digest.toLowerCase()))
    const [found] = matches
    if (found === undefined || matches.length > 1) {
      const what = found === undefined ? 'no stored package has' : `${matches.length} stored packages have`
      throw transferErrors.package_not_found(`${what} a digest that begins with "${args.digest}"`, {
        hint: 'See what is stored: warren package list',
      })
    }
    const { digest, name, version } = found
    await client.call(transferContract.remove, { params: { digest } }, { signal: context.signal })
    return { json: { digest, name, version, removed: true }, human: `${name} ${version} removed` }
  },
})
