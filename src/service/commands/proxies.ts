import { formatBytes } from '../../base/bytes.ts'
import { defineCommand, printable } from '../../command/index.ts'
import { type ProxyView, serviceContract } from '../contract.ts'
import { describeLocal, describePath } from './words.ts'

export const proxiesCommand = defineCommand({
  name: 'proxy list',
  aliases: ['proxies'],
  summary: 'Proxies that this node has open',
  examples: [{ does: 'kept ones, and those in the foreground somewhere', words: 'proxy list' }],
  async run({ context }) {
    const client = await context.connect()
    const proxies = await client.call(serviceContract.proxies, {}, { signal: context.signal })
    return {
      json: proxies,
      human: {
        columns: [
          { title: 'ID' },
          { title: 'LOCAL' },
          { title: 'SERVICE' },
          { title: 'KIND' },
          { title: 'KEPT' },
          { title: 'OPEN', align: 'right' },
          { title: 'IN', align: 'right' },
          { title: 'OUT', align: 'right' },
          { title: 'PATH' },
          { title: 'PROBLEM' },
        ],
        rows: proxies.map((proxy) =>
          [
            proxy.id,
            describeLocal(proxy.local) || '-',
            `${proxy.node}:${proxy.service}`,
            proxy.kind,
            proxy.kept ? 'yes' : 'no',
            String(proxy.connections),
            formatBytes(proxy.bytes_in),
            formatBytes(proxy.bytes_out),
            describePath({ ...proxy, why: null }),
            problemOf(proxy),
          ].map(printable),
        ),
        empty: 'No proxies. Open one: warren proxy NODE SERVICE',
      },
    }
  },
})

/** What went wrong last, else what keeps the way from being a better one. */
function problemOf({ problem, path, why }: ProxyView): string {
  if (problem !== null || why === null) return problem ?? ''
  return path === 'relayed' ? `not direct: ${why}` : why
}
