import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseSelector } from './selector.ts'

test.each([
  ['site=home', true],
  ['site==home', true],
  ['site!=home', false],
  ['zone!=x', true],
  ['site in (office, home)', true],
  ['site in (office)', false],
  ['site', true],
  ['zone', false],
  ['site=home,tier=web', true],
  ['site=home, tier in (db,cache)', false],
  [' tier in (db,web) ,site != x, site', true],
])('the selector %s selects as it says', (text, selected) => {
  expect(parseSelector(text)({ site: 'home', tier: 'web' })).toBe(selected)
})

test('a selector of any form is parsed or refused, and a negation is the opposite', () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
  fc.assert(
    fc.property(word, word, fc.dictionary(word, word), (key, value, labels) => {
      expect(parseSelector(`${key}=${value}`)(labels)).toBe(!parseSelector(`${key}!=${value}`)(labels))
    }),
  )
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseSelector(text)({})
      } catch (error) {
        expect(error).toMatchObject({ code: 'selector_invalid' })
      }
    }),
  )
})
