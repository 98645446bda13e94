import { expect, test } from 'vitest'
import { WarrenError } from '../base/errors.ts'
import { errorText } from './output.ts'
import { createStyle } from './style.ts'

test('the further lines of an error stand under its first', () => {
  const error = new WarrenError('untrusted_key', 403, 'not trusted.\nTrusted: alice.', { hint: 'Trust it:\nkey trust' })
  expect(errorText(error, createStyle(false))).toBe(
    'error  untrusted_key   not trusted.\n       Trusted: alice.\n       Trust it:\n       key trust',
  )
  expect(errorText(new WarrenError('internal', 500, 'oops'), createStyle(false))).toBe('error  internal   oops')
})
