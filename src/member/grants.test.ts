import { expect, test } from 'vitest'
import type { Grant } from '../api/index.ts'
import { addGrant, takeGrants } from './grants.ts'

const NOW = 1_700_000_000_000
const grant = (init: Partial<Grant>): Grant => ({
  role: 'operator',
  apps: null,
  services: null,
  expires: null,
  ...init,
})

test('a right for the same apps and role is replaced, and what has expired goes', () => {
  const api = grant({ apps: ['api'] })
  const over = grant({ apps: ['old'], expires: NOW })
  const next = addGrant([api, over], { role: 'operator', apps: ['api'], services: [], expires: NOW + 1 }, NOW)
  expect(next).toEqual([grant({ apps: ['api'], expires: NOW + 1 })])
  expect(addGrant(next, { role: 'viewer', apps: ['api'], services: ['db'], expires: null }, NOW)).toHaveLength(2)
})

test('a role that cannot be narrowed is refused by its name', () => {
  for (const role of ['admin', 'member', 'relay'] as const) {
    expect(() => addGrant([], { role, apps: ['api'], services: [], expires: null }, NOW)).toThrow(
      expect.objectContaining({ code: 'invalid_value', message: expect.stringContaining(role) }),
    )
  }
})

test.each([
  ['one app of two', { apps: ['api'], services: [] }, [grant({ apps: ['web'], services: ['db'] })], 1],
  ['all apps', { apps: ['api', 'web'], services: [] }, [grant({ services: ['db'] })], 1],
  ['everything in it', { apps: ['api', 'web'], services: ['db'] }, [], 1],
  ['all of a role', { role: 'operator' as const, apps: [], services: [] }, [], 1],
  ['another role', { role: 'viewer' as const, apps: ['api'], services: [] }, 'same', 0],
  ['another app', { apps: ['other'], services: [] }, 'same', 0],
])('%s is taken back', (_what, taken, left, count) => {
  const grants = [grant({ apps: ['api', 'web'], services: ['db'] })]
  expect(takeGrants(grants, taken)).toEqual({ grants: left === 'same' ? grants : left, taken: count })
})
