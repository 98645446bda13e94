import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { peerIdOf, signerFromSeed } from '../../src/identity/index.ts'
import { makeLan, whyNoNamespaces } from './lan.ts'

const NODE_PROGRAM = fileURLToPath(new URL('../../src/net/fixtures/node-process.ts', import.meta.url))

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: mDNS between namespaces (${reason})\n`)

interface LanNode {
  readonly child: ChildProcess
  readonly id: string
  /** Resolves when a line that begins so was printed, also in the past. */
  line(start: string): Promise<string>
  /** All lines so far. */
  readonly lines: readonly string[]
}

function startNode(host: string, index: number, mode: 'mdns' | 'quiet'): LanNode {
  const seed = Buffer.alloc(32, index + 1)
  const words = [
    'netns',
    'exec',
    host,
    process.execPath,
    NODE_PROGRAM,
    '/ip4/0.0.0.0/tcp/9010',
    seed.toString('hex'),
    mode,
  ]
  const child = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  const waiting = new Set<{ start: string; resolve: (line: string) => void }>()
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    lines.push(line)
    for (const one of waiting) if (line.startsWith(one.start)) one.resolve(line)
  })
  return {
    child,
    id: peerIdOf(signerFromSeed(seed).publicKey),
    lines,
    line: (start) => {
      const seen = lines.find((line) => line.startsWith(start))
      return seen !== undefined ? Promise.resolve(seen) : new Promise((resolve) => void waiting.add({ start, resolve }))
    },
  }
}

async function stopNode(node: LanNode): Promise<void> {
  if (node.child.exitCode !== null || node.child.signalCode !== null) return
  const gone = once(node.child, 'exit')
  node.child.kill('SIGKILL')
  await gone
}

test.skipIf(reason !== undefined)(
  'nodes on one local network find each other by mDNS and connect; one with mDNS off is not found',
  async () => {
    const hosts = [0, 1, 2].map((index) => `wn${process.pid}h${index}`)
    const undo = makeLan(hosts, { multicast: () => true })
    const nodes: LanNode[] = []
    try {
      const quiet = startNode(hosts[2] as string, 2, 'quiet')
      nodes.push(quiet)
      await quiet.line('/ip4/')
      const first = startNode(hosts[0] as string, 0, 'mdns')
      nodes.push(first)
      await first.line('/ip4/')
      const second = startNode(hosts[1] as string, 1, 'mdns')
      nodes.push(second)
      await Promise.all([second.line(`discovered ${first.id}`), second.line(`connected ${first.id}`)])
      await first.line(`connected ${second.id}`)
      for (const node of [first, second]) {
        expect(node.lines.filter((line) => line.includes(quiet.id))).toEqual([])
      }
      expect(quiet.lines.filter((line) => !line.startsWith('/ip4/'))).toEqual([])
    } finally {
      await Promise.all(nodes.map(stopNode))
      undo()
    }
  },
)
