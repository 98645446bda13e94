import { resolve } from 'node:path'
import { defineCommand, duration, text } from '../../command/index.ts'
import { keyContract } from '../contract.ts'
import { fingerprintOf } from '../ed25519.ts'
import { readPublicKeyFile } from '../public-key-file.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const DEFAULT_OVERLAP_MS = 7 * DAY_MS

/** `warren key rotate OLD FILE` */
export const rotateCommand = defineCommand({
  name: 'key rotate',
  summary: 'Let another signing key follow one, with an overlap',
  description:
    'The network trusts the next key at once, and the old one until the overlap is over. Policies that name the old key\n' +
    'name the next one too; where they ask for several signatures it takes the old one’s place. Run it on an admin.',
  arguments: [
    { name: 'old', description: 'name or id of the key that is to end' },
    { name: 'file', description: '.pub file of the next key', complete: 'file' },
  ],
  options: {
    overlap: duration({ value: 'TIME', description: 'for how long both count (default 7d)' }),
    name: text({ value: 'NAME', description: 'what to call the next key; may be the old one’s name' }),
  },
  examples: [
    { does: 'let ci2 follow ci within a week', words: 'key rotate ci ci2.pub' },
    { does: 'keep the name, and end the old key tomorrow', words: 'key rotate ci ci2.pub --name ci --overlap 24h' },
  ],
  run: async ({ args, options, context }) => {
    const given = await readPublicKeyFile(resolve(context.cwd, args.file))
    const client = await context.connect()
    const body = {
      public_key: Buffer.from(given.publicKey).toString('base64'),
      name: options.name ?? given.name,
      overlap_ms: options.overlap ?? DEFAULT_OVERLAP_MS,
    }
    const input = { params: { key: args.old }, body }
    const { old, next, policies } = await client.call(keyContract.rotate, input, { signal: context.signal })
    const show = (key: { name: string; key_id: string }) => `${key.name} (ed25519 ${fingerprintOf(key.key_id)})`
    return {
      json: { old, next, policies },
      human: [
        `${show(next)} is trusted in the whole network`,
        `${show(old)} counts until ${old.expires?.slice(0, 16).replace('T', ' ')}`,
        ...(policies.length === 0 ? [] : [`named in the policies ${policies.join(', ')}`]),
      ].join('\n'),
    }
  },
})
