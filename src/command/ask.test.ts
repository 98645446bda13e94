import { PassThrough, Readable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAsking, type Input } from './ask.ts'

function terminal(tty = true) {
  const stdin = Object.assign(new PassThrough(), {
    isTTY: tty,
    raw: [] as boolean[],
    setRawMode(mode: boolean) {
      this.raw.push(mode)
    },
  })
  const shown: string[] = []
  const stop = new AbortController()
  const stderr = { isTTY: tty, write: (text: string) => shown.push(text) }
  return { stdin, shown, stop, ask: createAsking({ stdin: stdin as unknown as Input, stderr, signal: stop.signal }) }
}

test('on a terminal a secret is read without being shown, with the usual keys to mend it', async () => {
  const { stdin, shown, ask } = terminal()
  const reading = ask.readSecret('passphrase')
  for (const typed of [
    'wrong\u0015',
    'correct horsf',
    '\u007fe',
    '\u001b[D',
    ' ü\u0000\u007f',
    'batt\u001b[200~ery',
    '\r',
  ])
    stdin.write(typed)
  expect(await reading).toBe('correct horse battery')
  expect(shown.join('')).toBe('passphrase: \n')
  expect(stdin.raw).toEqual([true, false])
  expect(stdin.isPaused()).toBe(true)
})

test.each([
  ['Ctrl-C', '\u0003', 'cancelled'],
  ['Ctrl-D', '\u0004', 'secret_missing'],
  ['Enter alone', '\r', 'secret_missing'],
  ['too much', `${'x'.repeat(5000)}\r`, 'secret_missing'],
])('%s ends the reading and gives the terminal back', async (_what, typed, code) => {
  const { stdin, ask } = terminal()
  const reading = ask.readSecret('passphrase')
  stdin.write(typed)
  await expect(reading).rejects.toMatchObject({ code })
  expect(stdin.raw).toEqual([true, false])
})

test('a signal ends the reading and gives the terminal back', async () => {
  const { stdin, stop, ask } = terminal()
  const reading = ask.readSecret('passphrase')
  stop.abort(new Error('stopped'))
  await expect(reading).rejects.toThrow('stopped')
  expect(stdin.raw).toEqual([true, false])
  await expect(ask.readSecret('again')).rejects.toThrow('stopped')
  expect(stdin.raw.at(-1)).toBe(false)
})

test('without a terminal each secret is the next line, however the bytes are cut', async () => {
  const line = fc.stringMatching(/^[a-zü ]{1,20}$/)
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      async (lines, size, last) => {
        const bytes = Buffer.from(lines.join('\r\n') + (last ? '\n' : ''))
        const parts: Buffer[] = []
        for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size))
        const ask = createAsking({
          stdin: Readable.from(parts),
          stderr: { write: () => true },
          signal: new AbortController().signal,
        })
        for (const one of lines) expect(await ask.readSecret('secret')).toBe(one)
        await expect(ask.readSecret('secret')).rejects.toMatchObject({ code: 'secret_missing' })
      },
    ),
    { numRuns: 30 },
  )
})

test('a line without an end is not read for ever', async () => {
  const { stdin, ask } = terminal(false)
  const reading = ask.readSecret('secret')
  stdin.write('x'.repeat(5000))
  await expect(reading).rejects.toMatchObject({ code: 'secret_missing' })
})

test('a question is asked at a terminal only, and yes is the only yes', async () => {
  const { stdin, shown, ask } = terminal()
  for (const [typed, answer] of [
    ['y\n', true],
    ['YES\r\n', true],
    ['\n', false],
    ['no\n', false],
    ['yeah\n', false],
  ] as const) {
    const asking = ask.confirm('Remove it?')
    stdin.write(typed)
    expect(await asking).toBe(answer)
  }
  expect(shown[0]).toBe('Remove it? [y/N] ')
  const piped = terminal(false)
  piped.stdin.write('y\n')
  expect(await piped.ask.confirm('Remove it?')).toBe(false)
  expect(piped.shown).toEqual([])
})
