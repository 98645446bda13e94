import { defineCommand, integer, printable, text } from '../../command/index.ts'
import { trustContract } from '../contract.ts'
import { describeTime } from './words.ts'

export const trustLogCommand = defineCommand({
  name: 'trust log',
  summary: 'What the admins have signed, in words',
  options: {
    by: text({ value: 'NODE', description: 'only what this admin, or root, has signed' }),
    tail: integer({ short: 'n', value: 'N', description: 'only the last N (default: 100)' }),
  },
  examples: [
    { does: 'the last hundred statements', words: 'trust log' },
    { does: 'the last ten of one admin', words: 'trust log --by laptop --tail 10' },
    { does: 'what the recovery phrase was used for', words: 'trust log --by root' },
  ],
  async run({ options, context }) {
    const client = await context.connect()
    const query = {
      ...(options.by === undefined ? {} : { node: options.by }),
      ...(options.tail === undefined ? {} : { tail: options.tail }),
    }
    const statements = await client.call(trustContract.log, { query }, { signal: context.signal })
    return {
      json: statements,
      human: {
        columns: [{ title: 'TIME' }, { title: 'BY' }, { title: 'SEQ', align: 'right' }, { title: 'WHAT' }],
        rows: statements.map(({ time, author, seq, what }) => [
          describeTime(time),
          printable(author),
          String(seq),
          printable(what),
        ]),
        empty: 'no statements',
      },
    }
  },
})
