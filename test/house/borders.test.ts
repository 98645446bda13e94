import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { borderComplaints, loadComplaints } from './borders.ts'
import { ROOT, sourceFiles } from './source.ts'
import { MAY_IMPORT } from './table.ts'

test('folders import only what the table allows, and only through doors', () => {
  expect(borderComplaints(sourceFiles)).toEqual([])
})

test('nothing that a command line loads at its start reaches libp2p, the log library or a test tool', () => {
  expect(loadComplaints(sourceFiles, 'cli/main.ts')).toEqual([])
})

const PLANTED: [what: string, path: string, text: string, complaint: RegExp][] = [
  ['a folder that is not in the table', 'helper/index.ts', `import '../base/index.ts'`, /"helper" is not in the table/],
  [
    'an import that is not in the table',
    'health/http.ts',
    `import { a } from '../config/index.ts'`,
    /health must not import config/,
  ],
  ['a folder that is above', 'app/index.ts', `import { a } from '../rollout/index.ts'`, /app must not import rollout/],
  [
    'a type from a forbidden folder',
    'base/x.ts',
    `import type { A } from '../api/index.ts'`,
    /base must not import api/,
  ],
  ['a type query', 'base/x.ts', `type A = import('../api/index.ts').A`, /base must not import api/],
  ['a re-export', 'base/index.ts', `export * from '../api/index.ts'`, /base must not import api/],
  ['a lazy import', 'health/x.ts', `await import('../api/index.ts')`, /health must not import api/],
  ['a way round the door', 'app/x.ts', `import { a } from '../transfer/store.ts'`, /use a door of transfer/],
  [
    'a section entered from elsewhere',
    'app/x.ts',
    `import { a } from '../transfer/config.ts'`,
    /use a door of transfer/,
  ],
  ['a way out of src', 'app/x.ts', `import { a } from '../../scripts/build.ts'`, /outside of src/],
  [
    'libp2p out of net',
    'member/protocol/x.ts',
    `import { a } from '@libp2p/tcp/filters'`,
    /@libp2p\/tcp lives only in net/,
  ],
  ['libp2p in a test out of net', 'app/x.test.ts', `import type { a } from '@libp2p/interface'`, /lives only in net/],
  [
    'net in the work of a feature',
    'transfer/store.ts',
    `import { sendMessage } from '../net/index.ts'`,
    /only protocol\/ and index.ts/,
  ],
  [
    'a light room that loads the network',
    'app/commands/start.ts',
    `import { a } from '../../net/index.ts'`,
    /is light, it must not load net/,
  ],
  [
    'a light room that loads a feature',
    'rollout/config.ts',
    `import { a } from '../app/index.ts'`,
    /is light, it must not load app/,
  ],
  [
    'a command that loads the daemon at its start',
    'app/commands/x.ts',
    `import { a } from '../../daemon/index.ts'`,
    /await import\(\) only/,
  ],
  ['a daemon reached from other rooms', 'app/x.ts', `await import('../daemon/index.ts')`, /app must not import daemon/],
  ['the kit out of commands', 'app/routes.ts', `import { a } from '../command/index.ts'`, /command is for commands\//],
  ['the kit in the daemon', 'daemon/run.ts', `import { a } from '../command/index.ts'`, /command is for commands\//],
  [
    'a list of commands out of cli',
    'daemon/x.ts',
    `import { a } from '../app/commands/index.ts'`,
    /only cli lists commands/,
  ],
  ['work in cli', 'cli/main.ts', `import { a } from '../app/index.ts'`, /cli must not import app/],
  [
    'more than contracts in web',
    'web/main.ts',
    `import { a } from '../app/index.ts'`,
    /web sees contract.ts files only/,
  ],
]
test.each(PLANTED)('%s is caught', (_what, path, text, complaint) => {
  const complaints = borderComplaints(new Map([[path, text]]))
  expect(complaints).toHaveLength(1)
  expect(complaints[0]).toMatch(complaint)
})

const ALLOWED: [what: string, path: string, text: string][] = [
  ['a command that loads the daemon when it runs', 'daemon/commands/run.ts', `await import('../../daemon/index.ts')`],
  ['another command that does', 'app/commands/x.ts', `const { a } = await import('../../daemon/index.ts')`],
  ['a file of base', 'app/commands/x.ts', `import { a } from '../../base/clock.ts'`],
  ['a contract in a light room', 'rollout/contract.ts', `import { a } from '../app/contract.ts'`],
  ['a list of commands in cli', 'cli/commands.ts', `import { a } from '../app/commands/index.ts'`],
  ['net in protocol/', 'transfer/protocol/server.ts', `import { a } from '../../net/index.ts'`],
  ['a type in a light room', 'app/commands/x.ts', `import type { A } from '../../transfer/index.ts'`],
  ['the list of sections', 'daemon/sections.ts', `import { a } from '../transfer/config.ts'`],
  ['the own folder', 'app/x.ts', `import { a } from './placement/systemd.ts'`],
  ['other folders in tests', 'app/x.test.ts', `import { a } from '../rollout/index.ts'`],
  ['the version', 'base/version.ts', `import p from '../../package.json' with { type: 'json' }`],
]
test.each(ALLOWED)('%s is allowed', (_what, path, text) => {
  expect(borderComplaints(new Map([[path, text]]))).toEqual([])
})

test('a heavy package is found through other files, and neither types nor lazy imports count', () => {
  const files = new Map([
    ['cli/main.ts', `import '../app/commands/index.ts'`],
    ['app/commands/index.ts', `const a = () => import('./start.ts')\nimport type { B } from '../../net/index.ts'`],
    ['app/commands/start.ts', `import '../names.ts'`],
    ['app/names.ts', `export * from './store.ts'`],
    ['app/store.ts', `import { pino } from 'pino'`],
    ['net/index.ts', `import 'libp2p'`],
  ])
  expect(loadComplaints(files, 'cli/main.ts')).toEqual([
    'app/commands/start.ts reaches pino: app/commands/start.ts > app/names.ts > app/store.ts',
  ])
})

test('ARCHITECTURE.md shows the same table', () => {
  const text = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8')
  const rows = [...text.matchAll(/^\| ((?:`[a-z]+`(?:, )?)+) \| [^|]+ \| ([^|]+) \|$/gm)]
  const names = (cell: string): string[] => [...cell.matchAll(/`([a-z]+)`/g)].map((match) => match[1] as string)
  const table: Record<string, string[]> = {}
  const folders = rows.flatMap((row) => names(row[1] as string))
  for (const [, left, right] of rows as unknown as [string, string, string][]) {
    for (const folder of names(left)) {
      const rest = folders.filter((other) => other !== folder && !names(right).includes(other))
      table[folder] = right.startsWith('everything but') ? rest : names(right)
    }
  }
  const sorted = (from: Readonly<Record<string, readonly string[]>>) =>
    Object.fromEntries(Object.entries(from).map(([folder, others]) => [folder, [...others].sort()]))
  expect(sorted(table)).toEqual(sorted(MAY_IMPORT))
})
