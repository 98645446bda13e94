import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { formatFaults, locateInYaml, nearestWord, parseYaml } from './yaml.ts'

const schema = z.strictObject({
  name: z.string().regex(/^[a-z]+$/, 'lower-case letters only'),
  count: z.number().int().optional(),
  limits: z.strictObject({ cpu_percent: z.number().optional() }).optional(),
  ports: z
    .record(z.string().regex(/^[a-z]+$/, 'name it in lower case'), z.union([z.literal('auto'), z.number()]))
    .optional(),
  check: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('http'), path: z.string() }),
      z.strictObject({ type: z.literal('process') }),
    ])
    .optional(),
  items: z.array(z.strictObject({ size: z.number() })).optional(),
})

function faultsOf(text: string, maxBytes?: number): string[] {
  const { value, faults } = parseYaml({ text, file: 'f.yaml', schema, ...(maxBytes === undefined ? {} : { maxBytes }) })
  expect(value === undefined).toBe(faults.length > 0)
  return formatFaults('f.yaml', faults).split('\n').filter(Boolean)
}

test('a good file gives its typed value', () => {
  const text = 'name: api\ncount: 3\nports: {web: auto, admin: 9000}\ncheck: {type: http, path: /}\n'
  expect(parseYaml({ text, file: 'f.yaml', schema }).value).toEqual({
    name: 'api',
    count: 3,
    ports: { web: 'auto', admin: 9000 },
    check: { type: 'http', path: '/' },
  })
})

test('every fault is named with line and column, in the order of the file', () => {
  const text =
    'name: API\ncount: 1.5\nlimits:\n  cpu_percnt: 3\nports:\n  Web: auto\nitems:\n  - size: 1\n  - size: big\n'
  expect(faultsOf(text)).toEqual([
    'f.yaml:1:7  name: lower-case letters only',
    expect.stringMatching(/^f\.yaml:2:8 {2}count: /),
    'f.yaml:4:3  limits.cpu_percnt: not a known key; did you mean cpu_percent?',
    'f.yaml:6:3  ports.Web: name it in lower case',
    expect.stringMatching(/^f\.yaml:9:11 {2}items\.1\.size: /),
  ])
})

test('a missing key is named at the map that lacks it', () => {
  expect(faultsOf('count: 1\n')).toEqual(['f.yaml:1:1  name: missing'])
  expect(faultsOf('')).toEqual(['f.yaml:1:1  name: missing'])
  expect(faultsOf('name: a\ncheck:\n  type: http\n')).toEqual(['f.yaml:2:1  check.path: missing'])
})

test('a number where text is wanted says to quote it', () => {
  expect(faultsOf('name: 12\n')).toEqual(['f.yaml:1:7  name: must be text; put the value in quotes'])
})

test('a key that stands twice is refused at its second place', () => {
  expect(faultsOf('name: a\nname: b\n')).toEqual(['f.yaml:2:1  this key stands here for the second time'])
})

test('broken syntax is named with its place', () => {
  expect(faultsOf('name: [a\n')[0]).toMatch(/^f\.yaml:\d+:\d+ {2}/)
  expect(faultsOf('name: a\n\tcount: 1\n')[0]).toMatch(/^f\.yaml:2:\d+ {2}/)
})

test('two documents, unknown tags and a list at the top are refused', () => {
  expect(faultsOf('name: a\n---\nname: b\n')).not.toEqual([])
  expect(faultsOf('name: !!js/function a\n')).not.toEqual([])
  expect(faultsOf('- name\n')).not.toEqual([])
})

test('aliases that multiply, deep nesting and long texts are refused before they cost anything', () => {
  const bomb = `a: &a [x,x]\n${[...'bcdefghij'].map((c, i) => `${c}: &${c} [${`*${'abcdefghij'[i]},`.repeat(20)}]`).join('\n')}\n`
  expect(faultsOf(bomb).join()).toMatch(/aliases/)
  for (const deep of ['['.repeat(20_000), '{a: '.repeat(20_000), '- '.repeat(20_000), '? '.repeat(20_000)]) {
    expect(faultsOf(deep)).not.toEqual([])
  }
  expect(faultsOf('name: *a\n')).toEqual(['f.yaml:1:7  *a has no anchor before it'])
  expect(faultsOf('name: &a [*a]\n')).toEqual(['f.yaml:1:11  *a holds itself'])
  const steps = Array.from({ length: 200 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')
  expect(faultsOf(steps)).toEqual(['f.yaml:1:1  nested deeper than 64 levels'])
  expect(faultsOf('name: abcdef\n', 5)).toEqual(['f.yaml:1:1  longer than 5 bytes'])
})

test('prototype keys are ordinary unknown keys', () => {
  expect(faultsOf('name: a\n__proto__: {count: 1}\nconstructor: 1\n')).toEqual([
    'f.yaml:2:1  __proto__: not a known key',
    'f.yaml:3:1  constructor: not a known key',
  ])
})

test('no text makes the parser throw', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc
      .array(
        fc.constantFrom(
          'name',
          ':',
          ' ',
          '\n',
          '- ',
          '[',
          ']',
          '{',
          '}',
          '&a',
          '*a',
          '|',
          '>',
          '"',
          "'",
          '#',
          '!',
          '? ',
          ',',
          '%',
          '\t',
          'a',
        ),
        { maxLength: 60 },
      )
      .map((parts) => parts.join('')),
  )
  fc.assert(
    fc.property(text, (input) => {
      const { value, faults } = parseYaml({ text: input, file: 'f.yaml', schema })
      return (value === undefined) === faults.length > 0
    }),
    { numRuns: 300 },
  )
})

test('a path is found in the text again', () => {
  expect(locateInYaml('a:\n  b: 1\n  c: [x, y]\n', ['a', 'c', 1])).toEqual({ line: 3, column: 10 })
})

test('the nearest word is few edits away, or there is none', () => {
  expect(nearestWord('cpu_percnt', ['cpu_percent', 'memory_mb'])).toBe('cpu_percent')
  expect(nearestWord('pre_start', ['pre-start', 'post-stop'])).toBe('pre-start')
  expect(nearestWord('zebra', ['name', 'version'])).toBeUndefined()
})
