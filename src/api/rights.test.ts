import fc from 'fast-check'
import { expect, test } from 'vitest'
import { allows, type Grant, type Rights, ROLES, roleIncludes } from './index.ts'

const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,6}$/)
const patterns = fc.option(
  fc.array(
    fc.oneof(
      name,
      name.map((start) => `${start}*`),
      fc.constant('*'),
    ),
    { maxLength: 4 },
  ),
)
const grant: fc.Arbitrary<Grant> = fc.record({
  role: fc.constantFrom('viewer' as const, 'operator' as const),
  apps: patterns,
  services: patterns,
  expires: fc.constant(null),
})
const role = fc.constantFrom(...ROLES)
const rights: fc.Arbitrary<Rights> = fc.record({ role, grants: fc.array(grant, { maxLength: 4 }) })
const subject = fc.record({ app: name, service: name }, { requiredKeys: [] })

test('a role allows what it includes, whatever the subject and the grants', () => {
  fc.assert(
    fc.property(rights, role, subject, (has, needed, on) => {
      if (roleIncludes(has.role, needed)) expect(allows(has, needed, on)).toBe(true)
    }),
  )
})

test('beyond the role only a grant that names the very subject allows, and never more than operator', () => {
  fc.assert(
    fc.property(rights, role, subject, (has, needed, on) => {
      const names = (list: readonly string[] | null, wanted: string | undefined) =>
        wanted !== undefined &&
        (list ?? []).some((each) => each === wanted || (each.endsWith('*') && wanted.indexOf(each.slice(0, -1)) === 0))
      const byGrant = has.grants.some(
        (each) => roleIncludes(each.role, needed) && (names(each.apps, on.app) || names(each.services, on.service)),
      )
      expect(allows(has, needed, on)).toBe(roleIncludes(has.role, needed) || byGrant)
      if (needed === 'admin' && has.role !== 'admin') expect(allows(has, needed, on)).toBe(false)
      if (!roleIncludes(has.role, needed)) expect(allows(has, needed)).toBe(false)
    }),
  )
})

test('more grants never take a right away, and one of services says nothing of apps', () => {
  fc.assert(
    fc.property(rights, grant, role, subject, (has, more, needed, on) => {
      if (allows(has, needed, on)) expect(allows({ ...has, grants: [...has.grants, more] }, needed, on)).toBe(true)
    }),
  )
  const services: Rights = {
    role: 'member',
    grants: [{ role: 'operator', apps: null, services: ['*'], expires: null }],
  }
  expect(allows(services, 'viewer', { app: 'api' })).toBe(false)
  expect(allows(services, 'viewer', { service: 'db' })).toBe(true)
})

test('a star stands for any rest at the end only, and a plain name for itself alone', () => {
  const has = (...apps: string[]): Rights => ({
    role: 'member',
    grants: [{ role: 'viewer', apps, services: null, expires: null }],
  })
  expect(allows(has('web-*'), 'viewer', { app: 'web-' })).toBe(true)
  expect(allows(has('web-*'), 'viewer', { app: 'web' })).toBe(false)
  expect(allows(has('web'), 'viewer', { app: 'web-1' })).toBe(false)
  expect(allows(has('web-*'), 'operator', { app: 'web-1' })).toBe(false)
})
