import { expect, test } from 'vitest'
import { runJson } from './program.ts'

test('what the person configures for the own node by variables does not reach a node of the lab', async () => {
  const seen = await runJson<string[]>([], {
    program: [process.execPath, '-e', 'console.log(JSON.stringify(Object.keys(process.env)))', '--'],
    env: {
      PATH: process.env.PATH,
      WARREN_NET_LISTEN: '/ip4/127.0.0.1/tcp/0',
      WARREN_HOME: '/nowhere',
      WARREN_DEBUG: '1',
    },
    signal: AbortSignal.timeout(60_000),
  })
  expect(seen).toEqual(expect.arrayContaining(['PATH', 'WARREN_DEBUG']))
  expect(seen).not.toContain('WARREN_NET_LISTEN')
  expect(seen).not.toContain('WARREN_HOME')
})
