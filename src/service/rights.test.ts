import { expect, test } from 'vitest'
import { type Rights, ROLES } from '../api/index.ts'
import { DEFAULT_TO, maySeeTarget, mayUse } from './rights.ts'

const service = (to: readonly string[]) => ({
  name: 'postgres',
  kind: 'tcp' as const,
  host: '127.0.0.1',
  port: 1,
  to: [...to],
})
const asker = (role: Rights['role'], grants: Rights['grants'] = []) => ({ id: 'pi', rights: { role, grants } })
const grant = (role: 'viewer' | 'operator', services: string[]) => ({ role, apps: null, services, expires: null })
const rolesThat = (check: (role: Rights['role']) => boolean) => ROLES.filter(check)

test('operators and admins may connect by default; members and viewers only when named', () => {
  expect(rolesThat((role) => mayUse(service(DEFAULT_TO), asker(role)))).toEqual(['operator', 'admin'])
  expect(rolesThat((role) => mayUse(service(['member']), asker(role)))).toEqual([
    'member',
    'viewer',
    'operator',
    'admin',
  ])
})

test('naming others leaves operators out, never admins', () => {
  expect(rolesThat((role) => mayUse(service(['tablet']), asker(role)))).toEqual(['admin'])
  expect(mayUse(service(['tablet', 'pi']), asker('relay'))).toBe(true)
})

test('a grant on the service opens it as operator, shows its target as viewer, and says nothing of others', () => {
  expect(mayUse(service([]), asker('member', [grant('operator', ['postgres'])]))).toBe(true)
  expect(mayUse(service([]), asker('member', [grant('operator', ['post*'])]))).toBe(true)
  expect(mayUse(service([]), asker('member', [grant('operator', ['redis'])]))).toBe(false)
  expect(mayUse(service([]), asker('member', [{ ...grant('operator', []), apps: ['postgres'] }]))).toBe(false)
  const reader = asker('member', [grant('viewer', ['postgres'])])
  expect(mayUse(service([]), reader)).toBe(false)
  expect(maySeeTarget(service([]), reader)).toBe(true)
  expect(maySeeTarget(service([]), asker('member'))).toBe(false)
})

test('who has no rights at all may do nothing, even where its id is named', () => {
  expect(mayUse(service(['pi', 'relay']), { id: 'pi', rights: undefined })).toBe(false)
  expect(maySeeTarget(service(['pi']), { id: 'pi', rights: undefined })).toBe(false)
})
