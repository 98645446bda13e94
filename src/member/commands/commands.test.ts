import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ApiClient } from '../../api/index.ts'
import { parseCommand } from '../../command/parse.ts'
import { loadConfig, writeCommentedConfig } from '../../config/index.ts'
import { sections } from '../../daemon/sections.ts'
import { joinCommands, memberCommands } from './index.ts'
import { createJoinCommand, withPeers } from './join.ts'
import { parseLabelChange, parseLabels } from './labels.ts'
import { describeLeftBehind } from './left-behind.ts'
import { drawQrCode } from './qr.ts'
import { describeGrant, describeRights } from './words.ts'

const ADDRESS = '/ip4/203.0.113.9/tcp/9010/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'

const init = { sections: async () => [], startDaemon: async () => 1 }

test('every command has the words of its entry, and an example that begins with them or a short form', async () => {
  for (const { name, aliases = [], summary, load } of [...memberCommands, ...joinCommands(init)]) {
    const command = await load()
    expect(command.name).toBe(name)
    expect(command.aliases ?? []).toEqual(aliases)
    expect(command.summary).toBe(summary)
    const forms = [name, ...aliases]
    for (const { words } of command.examples) {
      expect(forms.some((form) => ` ${words} `.includes(` ${form} `))).toBe(true)
    }
  }
})

test('join starts the daemon unless it is told not to', () => {
  const command = createJoinCommand(init)
  expect(parseCommand(command, ['WRN-1'])?.options).toMatchObject({ noStart: false })
  expect(parseCommand(command, ['WRN-1', '--no-start'])?.options).toMatchObject({ noStart: true })
})

test('the config of a node that has joined is commented, and names the admins as peers', async () => {
  const text = withPeers(await writeCommentedConfig(sections), [ADDRESS, "/dns4/a'$&.example/tcp/1"])
  const home = await mkdtemp(join(tmpdir(), 'warren-join-'))
  try {
    await writeFile(join(home, 'config.yaml'), text)
    const { values, origins } = await loadConfig({ sections, home, env: {} })
    expect(values.net.peers).toEqual([ADDRESS, "/dns4/a'$&.example/tcp/1"])
    expect(Object.values(origins).filter((origin) => origin !== 'default')).toHaveLength(1)
  } finally {
    await rm(home, { recursive: true, force: true })
  }
})

test('labels are set and removed as written, and anything else is refused', () => {
  expect(parseLabelChange(['site=home', 'test-', 'a=b=c', 'x='])).toEqual({
    set: { site: 'home', a: 'b=c', x: '' },
    remove: ['test'],
  })
  expect(() => parseLabels(['test-'])).toThrow(expect.objectContaining({ code: 'invalid_value' }))
  expect(() => parseLabelChange(['site'])).toThrow(expect.objectContaining({ code: 'invalid_value' }))
})

test('a QR code is drawn in half blocks, the same with and without colours, or not at all where it is too wide', async () => {
  const plain = (await drawQrCode('WRN-0123456789', { columns: 80, colours: false })) as string
  const coloured = (await drawQrCode('WRN-0123456789', { columns: 80, colours: true })) as string
  const lines = plain.split('\n')
  expect(new Set(lines.map((line) => line.length)).size).toBe(1)
  expect(lines.length).toBe(Math.ceil((lines[0] as string).length / 2))
  const inverse: Record<string, string> = { '█': ' ', ' ': '█', '▀': '▄', '▄': '▀' }
  const bare = coloured.replaceAll('\u001b[30;107m', '').replaceAll('\u001b[0m', '')
  expect([...bare].map((each) => inverse[each] ?? each).join('')).toBe(plain)
  expect(await drawQrCode('WRN-0123456789', { columns: 10, colours: false })).toBeUndefined()
})

test('text of any length becomes a code or none, and nothing throws', async () => {
  await fc.assert(
    fc.asyncProperty(fc.stringMatching(/^WRN-[0-9A-Z]{1,700}$/), async (text) => {
      const drawn = await drawQrCode(text, { columns: 80, colours: false })
      expect(drawn === undefined || drawn.split('\n').every((line) => line.length <= 80)).toBe(true)
    }),
    { numRuns: 20 },
  )
})

test('rights are told in one line, without what a terminal would act on', () => {
  const grant = {
    role: 'operator' as const,
    apps: ['api', 'web-*'],
    services: ['db'],
    expires: '2026-11-21T19:20:00.000Z',
  }
  expect(describeGrant(grant)).toBe('operator of api, web-*, service db until 2026-11-21 19:20 UTC')
  const node = { name: 'p\u001b[2Ji', role: 'member' as const, grants: [grant], expires: null }
  expect(describeRights(node as unknown as Parameters<typeof describeRights>[0])).toBe(
    'pi is member; operator of api, web-*, service db until 2026-11-21 19:20 UTC',
  )
})

test('tokens of a removed admin that still work are named, with how to end them', async () => {
  const gone = { id: '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo', name: 'laptop' }
  const tokens = [
    { name: 'ci', by: '…kSCVe2Xo', state: 'valid' },
    { name: 'cd', by: 'laptop', state: 'valid' },
    { name: 'old', by: 'laptop', state: 'expired' },
    { name: 'other', by: 'office', state: 'valid' },
  ]
  const clientOf = (made: unknown[]) => ({ call: async () => made }) as unknown as ApiClient
  const asked = { admins: [gone], signal: AbortSignal.timeout(1000) }
  expect((await describeLeftBehind(clientOf(tokens), asked))?.split('\n').slice(1)).toEqual([
    '  warren token remove ci',
    '  warren token remove cd',
  ])
  expect(await describeLeftBehind(clientOf(tokens.slice(2)), asked)).toBeUndefined()
})
