import { expect, test } from 'vitest'
import { type CompleteInput, complete, GLOBAL_OPTIONS } from './complete.ts'
import { type AnyCommand, choice, defineCommand, duration, flag, list, text } from './define.ts'
import type { CommandEntry } from './entry.ts'
import { commandHelp } from './parse.ts'

const loaded: string[] = []
const run = async () => ({ json: null })

function entry(command: AnyCommand): CommandEntry {
  const { name, summary, aliases = [], hidden = false } = command
  return {
    name,
    summary,
    aliases,
    hidden,
    load: async () => {
      loaded.push(name)
      return command
    },
  }
}

const entries: CommandEntry[] = [
  entry(
    defineCommand({
      name: 'rollout start',
      aliases: ['deploy'],
      summary: 'Deploy a package',
      arguments: [{ name: 'package', description: 'p', complete: 'file' }],
      options: {
        on: list({ value: 'NODE|LABEL=VALUE', description: 'targets' }),
        all: flag({ short: 'a', description: 'every node' }),
        retryDelay: duration({ description: 'pause' }),
        strategy: choice(['serial', 'canary'], { description: 'order' }),
        output: text({ short: 'o', value: 'FOLDER', description: 'folder' }),
      },
      examples: [],
      run,
    }),
  ),
  entry(defineCommand({ name: 'rollout status', summary: 'How it goes', examples: [], run })),
  entry(
    defineCommand({
      name: 'app stop',
      aliases: ['stop'],
      summary: 'Stop apps',
      arguments: [{ name: 'apps', description: 'a', rest: true, complete: 'app' }],
      examples: [],
      run,
    }),
  ),
  entry(
    defineCommand({
      name: 'proxy',
      summary: 'Reach a service',
      arguments: [
        { name: 'node', description: 'n', complete: 'node' },
        { name: 'service', description: 's' },
      ],
      examples: [],
      run,
    }),
  ),
  entry(defineCommand({ name: 'proxy list', summary: 'Open proxies', examples: [], run })),
  entry(defineCommand({ name: '__complete', summary: 'x', hidden: true, examples: [], run })),
]

const names: CompleteInput['names'] = async (kind) => (kind === 'node' ? ['pi', 'laptop', 'pi'] : ['api', 'web'])

async function values(line: string, ask = names): Promise<string[]> {
  const { candidates } = await complete({ entries, words: line.split(' '), names: ask })
  return candidates.map(({ value }) => value)
}

test('first words are offered with what they do, hidden commands are not, and no command is loaded', async () => {
  loaded.length = 0
  const { candidates, files } = await complete({ entries, words: [''], names })
  expect(candidates).toEqual([
    { value: 'rollout', description: 'start, status' },
    { value: 'deploy', description: 'Deploy a package' },
    { value: 'app', description: 'stop' },
    { value: 'stop', description: 'Stop apps' },
    { value: 'proxy', description: 'Reach a service' },
  ])
  expect(files).toBe('none')
  expect(loaded).toEqual([])
})

test('the words of a command are completed one by one', async () => {
  expect(await values('rol')).toEqual(['rollout'])
  expect(await values('rollout ')).toEqual(['start', 'status'])
  expect(await values('rollout stat')).toEqual(['status'])
  expect(await values('nothing ')).toEqual([])
  expect(await values('__c')).toEqual([])
})

test('where a command is the start of another both are offered', async () => {
  expect(await values('proxy ')).toEqual(['list', 'laptop', 'pi'])
  expect(await values('proxy pi ')).toEqual([])
})

test('options are offered after a dash, but not those already given unless they repeat', async () => {
  expect(await values('deploy --')).toEqual(
    expect.arrayContaining(['--on', '--all', '--retry-delay', '--json', '--home']),
  )
  expect(await values('deploy --re')).toEqual(['--retry-delay'])
  const left = await values('deploy -a --on pi --json --strategy=serial -')
  expect(left).toContain('--on')
  for (const given of ['--all', '--json', '--strategy']) expect(left).not.toContain(given)
  expect(await values('--ho')).toEqual(['--home'])
})

test('the value of an option is completed by what it takes', async () => {
  expect(await values('deploy --strategy ')).toEqual(['serial', 'canary'])
  expect(await values('deploy --strategy=c')).toEqual(['--strategy=canary'])
  expect(await values('deploy x --on ')).toEqual(['laptop', 'pi'])
  expect(await values('deploy --on=p')).toEqual(['--on=pi'])
  expect(await values('--node l')).toEqual(['laptop'])
  expect(await values('deploy --retry-delay ')).toEqual([])
  const files = async (line: string) => (await complete({ entries, words: line.split(' '), names })).files
  expect(await files('deploy --output ')).toBe('folder')
  expect(await files('deploy -o ')).toBe('folder')
  expect(await files('deploy --output=x')).toBe('folder')
  expect(await files('deploy -c ')).toBe('file')
  expect(await files('deploy --json ')).toBe('file')
  expect(await files('deploy --retry-delay ')).toBe('none')
})

test('arguments are completed by their place, the last one again and again', async () => {
  expect(await values('stop api ')).toEqual(['api', 'web'])
  expect(await values('app stop w')).toEqual(['web'])
  expect(await values('--home /x proxy ')).toEqual(['list', 'laptop', 'pi'])
  expect(await values('proxy --quiet l')).toEqual(['list', 'laptop'])
  expect(await values('deploy x ')).toEqual([])
})

test('after two dashes nothing is an option', async () => {
  expect(await values('stop -- --')).toEqual([])
  expect(await values('stop -- a')).toEqual(['api'])
})

test('names are asked in the home and of the node that the line names', async () => {
  const scopes: unknown[] = []
  const ask: CompleteInput['names'] = async (_kind, scope) => {
    scopes.push(scope)
    return []
  }
  await values('--home /a stop --node=pi ', ask)
  await values('stop --home /b ', ask)
  expect(scopes).toEqual([
    { home: '/a', node: 'pi' },
    { home: '/b', node: undefined },
  ])
})

test('names that a shell would run, or that break the list, are not offered', async () => {
  const bad = ['$(reboot)', 'a b', 'a;b', "a'", 'a\nb', 'a`b', '-rf', '\u001b[2J', '', 'ok-1.2']
  expect(await values('stop ', async () => bad)).toEqual(['ok-1.2'])
})

test('no names within the time, or a failure, means none, and the rest is still offered', async () => {
  expect(await values('proxy ', () => new Promise(() => undefined))).toEqual(['list'])
  expect(await values('proxy ', () => Promise.reject(new Error('no daemon')))).toEqual(['list'])
})

test('the options of every command are those that the parser takes', () => {
  const help = commandHelp(defineCommand({ name: 'x', summary: 'x', examples: [], run }))
  const parsed = [...help.matchAll(/^ +(?:-(\w), )?--([a-z-]+)(?: <(\w+)>)?/gm)].map(([, short, name, value]) => [
    name,
    short,
    value,
  ])
  const offered = Object.entries(GLOBAL_OPTIONS).map(([name, option]) => [name, option.short, option.value])
  expect(offered.sort()).toEqual(parsed.sort())
})
