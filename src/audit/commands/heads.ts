import { defineCommand, printable } from '../../command/index.ts'
import { auditContract } from '../contract.ts'

export const headsCommand = defineCommand({
  name: 'audit heads',
  summary: 'What this node keeps of the audit logs of others',
  description:
    'The newest head that each node signed and sent here. A log that became shorter, or another one, is counted as rewound.',
  examples: [{ does: 'the heads that are kept here', words: 'audit heads' }],
  async run({ context }) {
    const client = await context.connect()
    const rows = await client.call(auditContract.heads, {}, { signal: context.signal })
    return {
      json: rows,
      human: {
        columns: [
          { title: 'NODE' },
          { title: 'ENTRIES', align: 'right' },
          { title: 'SIGNED' },
          { title: 'KEPT', align: 'right' },
          { title: 'REWOUND', align: 'right' },
          { title: 'HASH' },
        ],
        rows: rows.map(({ name, newest, heads, rewinds }) => [
          printable(name),
          newest === null ? '-' : String(newest.seq),
          newest?.time ?? '-',
          String(heads),
          rewinds.length === 0 ? '-' : String(rewinds.length),
          newest === null ? '-' : printable(newest.hash.slice(0, 16)),
        ]),
        empty: 'no node has told its head yet',
      },
    }
  },
})
