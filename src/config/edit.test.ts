import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { resetConfigValue, setConfigValue } from './edit.ts'
import {
  defineSection,
  durationField,
  findSectionFaults,
  loggingSection,
  storageSection,
  writeCommentedConfig,
} from './index.ts'
import { listKeys, readKeyText } from './keys.ts'
import { toInlineYaml } from './template.ts'

const netSection = defineSection({
  name: 'net',
  description: 'Connections.',
  schema: z
    .strictObject({
      listen: z.array(z.string()).default(['/ip4/0.0.0.0/tcp/0']).describe('Addresses.'),
      mdns: z
        .strictObject({
          enabled: z.boolean().default(true).describe('On.'),
          interval: durationField('10s').describe('Pause.'),
        })
        .prefault({}),
    })
    .prefault({}),
})
const sections = [loggingSection, netSection, storageSection]

test('the commented file is a valid config that sets nothing', () => {
  const text = writeCommentedConfig(sections)
  expect(parse(text)).toEqual({ version: 1, logging: null, net: null, storage: null })
  for (const { path } of listKeys(sections)) expect(text).toMatch(new RegExp(`^ {2}#.* ${path.at(-1)}: `, 'm'))
})

test('the commented defaults, when uncommented, are the defaults', () => {
  const live = writeCommentedConfig(sections).replaceAll(/^ {2}# ( *[a-z_]+:(?: .*)?)$/gm, '  $1')
  expect(parse(live)).toEqual({
    version: 1,
    logging: { level: 'info', format: 'console' },
    net: { listen: ['/ip4/0.0.0.0/tcp/0'], mdns: { enabled: true, interval: '10s' } },
    storage: { data_dir: '.', keys_dir: 'keys' },
  })
})

test('in the commented file a value goes below its commented default, and away again without a trace', () => {
  const text = writeCommentedConfig(sections)
  const set = setConfigValue(text, ['logging', 'level'], 'debug')
  expect(set).toContain('\n  # level: info\n  level: debug\n')
  expect(set.split('\n').length).toBe(text.split('\n').length + 1)
  expect(resetConfigValue(set, ['logging', 'level'])).toBe(text)
})

test('two values of one section, and a nested one, can be set in any order', () => {
  let text = writeCommentedConfig(sections)
  text = setConfigValue(text, ['net', 'mdns', 'interval'], '5s')
  text = setConfigValue(text, ['net', 'listen'], ['/ip4/127.0.0.1/tcp/0'])
  text = setConfigValue(text, ['net', 'mdns', 'enabled'], false)
  expect(parse(text).net).toEqual({ listen: ['/ip4/127.0.0.1/tcp/0'], mdns: { enabled: false, interval: '5s' } })
  expect(text).toContain('# listen: ["/ip4/0.0.0.0/tcp/0"]\n  listen: ["/ip4/127.0.0.1/tcp/0"]\n')
})

test('setting a value leaves every other line as it is', () => {
  const text = `# my node\nversion: 1   # do not touch\n\n\nnet:\n    listen:   # all of them\n      - 'a'\n      - "b"\n    # and so on\n    gate:    key   # strict\nlogging: { level: "info" }\n`
  expect(setConfigValue(text, ['net', 'gate'], 'roster')).toBe(text.replace('gate:    key ', 'gate: roster '))
  const added = setConfigValue(text, ['net', 'quic'], true)
  expect(added).toBe(text.replace('# strict\n', '# strict\n    quic: true\n'))
  expect(resetConfigValue(added, ['net', 'quic'])).toBe(text)
  expect(parse(setConfigValue(text, ['logging', 'format'], 'json')).logging).toEqual({ level: 'info', format: 'json' })
})

test('a new section goes to the end, also of an empty file', () => {
  expect(setConfigValue('version: 1', ['logging', 'level'], 'warn')).toBe('version: 1\nlogging:\n  level: warn\n')
  expect(parse(setConfigValue('', ['logging', 'level'], 'warn'))).toEqual({ logging: { level: 'warn' } })
})

test('forms that only the document can change keep their meaning', () => {
  const anchored = 'version: 1\nlogging: &l\n  level: info\nnet: { listen: [a], gate: key }\nother: *l\n'
  expect(parse(setConfigValue(anchored, ['net', 'gate'], 'roster')).net).toEqual({ listen: ['a'], gate: 'roster' })
  expect(parse(setConfigValue('version: 1\nnet: 5\n', ['net', 'gate'], 'x'))).toEqual({
    version: 1,
    net: { gate: 'x' },
  })
  expect(parse(resetConfigValue('net: { gate: key }\n', ['net', 'gate'])).net ?? {}).toEqual({})
})

test('a value that an alias shares with another is left to a person', () => {
  const shared = 'version: 1\nnet: &n\n  gate: key\nlogging: *n\n'
  expect(() => setConfigValue(shared, ['net', 'gate'], 'roster')).toThrow(/only a person/)
  expect(() => resetConfigValue(shared, ['net', 'gate'])).toThrow(/only a person/)
})

test('block texts and lists over several lines are replaced whole', () => {
  const text = 'net:\n  note: |\n    one\n    two\n\n  # kept\n  listen:\n    - a\n    - b\n\nlogging:\n  level: info\n'
  expect(setConfigValue(text, ['net', 'note'], 'short')).toBe(text.replace('|\n    one\n    two\n', 'short\n'))
  expect(resetConfigValue(text, ['net', 'listen'])).toBe(text.replace('  listen:\n    - a\n    - b\n', ''))
  expect(parse(setConfigValue(text, ['net', 'listen'], ['c']))).toMatchObject({
    net: { listen: ['c'] },
    logging: { level: 'info' },
  })
})

const scalar = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.integer(),
  fc.boolean(),
  fc.constantFrom(
    '.',
    '~',
    'null',
    '0x1',
    '1e3',
    '-',
    '---',
    '.5',
    '12:30',
    'a: b',
    'a #b',
    '2024-01-01',
    '0o7',
    'Yes',
    '.nan',
    '<<',
  ),
)

test('any value written on one line is read back the same', () => {
  fc.assert(
    fc.property(fc.oneof(scalar, fc.array(scalar)), (value) => {
      expect(parse(`key: ${toInlineYaml(value)} # comment\n`)).toEqual({ key: value })
    }),
    { numRuns: 500 },
  )
})

test('any run of changes gives the same values as on a plain object, and no comment is lost', () => {
  const keys = listKeys(sections)
  const step = fc.record({
    key: fc.nat(keys.length - 1),
    value: fc.option(fc.oneof(scalar, fc.array(scalar)), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.boolean(), (steps, commented) => {
      let text = commented
        ? writeCommentedConfig(sections)
        : '# top\nversion: 1\n\n# about net\nnet:\n  # why\n  listen: [x]\n'
      const comments = text.match(/#.*$/gm) ?? []
      const model = new Map<string, unknown>(commented ? [] : [['net.listen', ['x']]])
      for (const { key, value } of steps) {
        const { name, path } = keys[key] as (typeof keys)[number]
        text = value === undefined ? resetConfigValue(text, path) : setConfigValue(text, path, value)
        if (value === undefined) model.delete(name)
        else model.set(name, value)
      }
      const values = parse(text)
      const found = keys.map(({ name, path }) => [name, path.reduce((map, part) => map?.[part], values)])
      expect(found).toEqual(keys.map(({ name }) => [name, model.get(name)]))
      expect(comments.filter((comment) => !text.includes(comment))).toEqual([])
    }),
    { numRuns: 200 },
  )
})

test('texts are read by the kind of their key', () => {
  const key = (name: string) =>
    listKeys(sections).find((one) => one.name === name) as ReturnType<typeof listKeys>[number]
  expect(readKeyText(key('net.mdns.enabled'), 'true')).toBe(true)
  expect(readKeyText(key('net.mdns.enabled'), 'yes')).toBe('yes')
  expect(readKeyText(key('logging.level'), 'null')).toBe('null')
  expect(readKeyText(key('net.listen'), 'a, b')).toEqual(['a', 'b'])
  expect(key('net.mdns.interval')).toMatchObject({
    variable: 'WARREN_NET_MDNS_INTERVAL',
    format: 'duration',
    fallback: '10s',
  })
})

test('sections with keys that have no default, no description or another form are found out', () => {
  expect(findSectionFaults(sections)).toEqual([])
  const bad = defineSection({
    name: 'bad',
    description: 'Bad.',
    schema: z.strictObject({
      aKey: z.string().default('x').describe('x'),
      none: z.string().describe('x'),
      mute: z.string().default('x'),
      wrong: durationField('soon').describe('x'),
    }),
  })
  expect(findSectionFaults([bad, bad])).toEqual(
    expect.arrayContaining([
      'bad: two sections of this name',
      'bad.aKey: not snake_case',
      'bad.none: no default',
      'bad.mute: no description',
      'bad.wrong: its default is not a valid value',
    ]),
  )
})
