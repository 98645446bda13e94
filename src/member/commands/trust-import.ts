import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { baseErrors } from '../../base/errors.ts'
import { pathExists } from '../../base/files.ts'
import { defineCommand, printable } from '../../command/index.ts'
import { trustContract } from '../contract.ts'
import { countOf } from './words.ts'

/** Statements a call: the longest of them fit its body. */
const BUNCH = 200
/** Reasons that are shown; the rest is the same again. */
const MAX_REASONS = 5

export const trustImportCommand = defineCommand({
  name: 'trust import',
  summary: 'Take in what another node has exported',
  description:
    'Each statement is checked as if it came over the network, so the file may come from anybody. Connected nodes are told of what was new.',
  arguments: [{ name: 'file', description: 'made by trust export; - for standard input', complete: 'file' }],
  examples: [
    { does: 'from a file', words: 'trust import statements' },
    { does: 'from another machine', words: 'trust import -' },
  ],
  async run({ args, context }) {
    const client = await context.connectLocal()
    const total = { added: 0, waiting: 0, refused: [] as string[] }
    for await (const envelopes of bunchesOf(await openSource(args.file, context))) {
      const { added, refused, waiting } = await client.call(
        trustContract.import,
        { body: { envelopes } },
        { signal: context.signal },
      )
      total.added += added
      total.waiting = waiting
      total.refused.push(...refused)
    }
    for (const reason of total.refused.slice(0, MAX_REASONS)) context.say(`refused: ${printable(reason)}`)
    const refused = total.refused.length === 0 ? '' : `, ${total.refused.length} refused`
    const waiting = total.waiting === 0 ? '' : `, ${total.waiting} wait for one that is missing`
    return {
      json: total,
      human: `${total.added === 0 ? 'nothing' : countOf(total.added, 'statement')} new${refused}${waiting}`,
    }
  },
})

async function openSource(file: string, { cwd, stdin }: { cwd: string; stdin: Readable }): Promise<Readable> {
  if (file === '-') return stdin
  const path = resolve(cwd, file)
  if (!(await pathExists(path))) throw baseErrors.file_not_found(`there is no file ${path}`)
  return createReadStream(path)
}

async function* bunchesOf(source: Readable): AsyncGenerator<string[]> {
  let bunch: string[] = []
  for await (const line of createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() === '') continue
    bunch.push(line)
    if (bunch.length < BUNCH) continue
    yield bunch
    bunch = []
  }
  if (bunch.length > 0) yield bunch
}
