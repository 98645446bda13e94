import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openStateDatabase } from './database.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'warren-database-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const schema = { name: 'shoe', version: 1, create: 'CREATE TABLE shoe_size (size INTEGER) STRICT' }
const nowMs = 1_700_000_000_000

test('tables are made once, and are still filled after the file was closed', () => {
  const path = join(folder, 'deep', 'state.db')
  const first = openStateDatabase(path, { nowMs })
  expect(first.ensure(schema)).toBe(true)
  first.sqlite.exec('INSERT INTO shoe_size VALUES (43)')
  first.close()
  const second = openStateDatabase(path, { nowMs })
  expect(second.ensure(schema)).toBe(false)
  expect(second.sqlite.prepare('SELECT size FROM shoe_size').all()).toEqual([{ size: 43 }])
  expect(second.setAside).toBeUndefined()
  second.close()
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('a new version of a schema drops the old tables and asks to be filled; other features keep theirs', () => {
  const database = openStateDatabase(join(folder, 'state.db'), { nowMs })
  database.ensure(schema)
  database.ensure({ name: 'hat', version: 1, create: 'CREATE VIRTUAL TABLE hat_text USING fts5(words)' })
  database.sqlite.exec("INSERT INTO shoe_size VALUES (43); INSERT INTO hat_text VALUES ('a brown hat')")
  expect(database.ensure({ ...schema, version: 2 })).toBe(true)
  expect(database.sqlite.prepare('SELECT size FROM shoe_size').all()).toEqual([])
  expect(database.sqlite.prepare("SELECT words FROM hat_text('brown')").all()).toHaveLength(1)
  expect(database.ensure({ name: 'hat', version: 2, create: 'CREATE TABLE hat_text (words TEXT)' })).toBe(true)
  database.close()
})

test('a failed transaction leaves nothing behind', () => {
  const database = openStateDatabase(join(folder, 'state.db'), { nowMs })
  database.ensure(schema)
  expect(() =>
    database.transaction(() => {
      database.sqlite.exec('INSERT INTO shoe_size VALUES (43)')
      throw new Error('no')
    }),
  ).toThrow('no')
  expect(database.sqlite.prepare('SELECT size FROM shoe_size').all()).toEqual([])
  database.close()
})

test('a file that is no database is set aside and an empty one takes its place', () => {
  const path = join(folder, 'state.db')
  writeFileSync(path, 'not a database, but long enough to be looked at as if it were one. '.repeat(40))
  const database = openStateDatabase(path, { nowMs })
  expect(database.setAside).toBe(`${path}.damaged-2023-11-14T22-13-20-000Z`)
  expect(database.ensure(schema)).toBe(true)
  database.close()
  expect(readdirSync(folder).some((name) => name.includes('damaged'))).toBe(true)
})

test('a file of an unknown later format is set aside, not changed', () => {
  const path = join(folder, 'state.db')
  const later = openStateDatabase(path, { nowMs })
  later.sqlite.exec('PRAGMA user_version = 99')
  later.close()
  const database = openStateDatabase(path, { nowMs })
  expect(database.setAside).toBeDefined()
  database.close()
})
