import { choice, defineCommand, duration, list, printable } from '../../command/index.ts'
import { tokenContract } from '../contract.ts'
import { isTerminal } from './terminal.ts'
import { describeTime } from './words.ts'

const DEFAULT_EXPIRES_MS = 90 * 86_400_000

export const tokenCreateCommand = defineCommand({
  name: 'token create',
  summary: 'Make a deploy token, for CI',
  description:
    'A job that has it in the variable WARREN_TOKEN runs warren without a node of its own: it connects, does the one command, and is gone. The token is shown once and kept nowhere. It says who deploys; whose package it is, a signing key says, so the job needs one as well that the network trusts: warren deploy api --key ci.key --on site=home',
  arguments: [{ name: 'name', description: 'name of the token: letters, digits and hyphens' }],
  options: {
    role: choice(['operator', 'viewer'] as const, { description: 'what it may (default: operator)' }),
    app: list({ value: 'APP', description: 'only for this app; * at its end stands for any rest; may repeat' }),
    expires: duration({ description: 'how long it works (default: 90d)' }),
  },
  examples: [
    { does: 'deploy one app from CI', words: 'token create ci --role operator --app api' },
    { does: 'into a file', words: 'token create ci --expires 30d > token' },
  ],
  async run({ args, options, context }) {
    const client = await context.connect()
    const body = {
      name: args.name,
      role: options.role ?? ('operator' as const),
      apps: options.app,
      expires_in_ms: options.expires ?? DEFAULT_EXPIRES_MS,
    }
    const token = await client.call(tokenContract.create, { body }, { signal: context.signal })
    const where = token.apps === null ? 'every app' : printable(token.apps.join(', '))
    const until = token.expires === null ? '' : ` until ${describeTime(token.expires)}`
    const what = `${printable(token.name)} is ${token.role} of ${where}${until}. Take it back: warren token remove ${printable(token.name)}`
    if (isTerminal()) return { json: token, human: `WARREN_TOKEN=${token.token}\n\n${what}` }
    context.say(`Set it as WARREN_TOKEN=… in the job. ${what}`)
    return { json: token, human: token.token }
  },
})
