import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { openExposed, type Service } from './exposed.ts'
import { MAX_SERVICES } from './limits.ts'

const OPTIONS = { clock: systemClock, log: silentLogger }
const service = (name: string): Service => ({ name, kind: 'tcp', host: '127.0.0.1', port: 80, to: ['operator'] })

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-exposed-'))
  file = join(folder, 'exposed.json')
})
afterEach(() => rm(folder, { recursive: true }))

test('what was exposed is there again, and what was taken back is not', async () => {
  const exposed = await openExposed({ file, ...OPTIONS })
  expect(await exposed.add(service('web'))).toEqual({ replaced: false })
  expect(await exposed.add({ ...service('web'), port: 81 })).toEqual({ replaced: true })
  await exposed.add(service('db'))
  await exposed.remove('db')
  await expect(exposed.remove('db')).rejects.toMatchObject({ code: 'service_not_found' })
  expect((await openExposed({ file, ...OPTIONS })).list()).toEqual([{ ...service('web'), port: 81 }])
})

test('names that are none, and more services than there may be, are refused and change nothing', async () => {
  const exposed = await openExposed({ file, ...OPTIONS })
  await expect(exposed.add(service('5432'))).rejects.toMatchObject({ code: 'invalid_value' })
  const services = Array.from({ length: MAX_SERVICES }, (_, index) => service(`s${index}`))
  await writeFile(file, JSON.stringify({ format: 1, services }))
  const full = await openExposed({ file, ...OPTIONS })
  await expect(full.add(service('one-more'))).rejects.toMatchObject({ code: 'service_limit' })
  expect(full.list()).toHaveLength(MAX_SERVICES)
  expect(await full.add(service('s1'))).toEqual({ replaced: true })
})

test('a damaged file exposes nothing, is kept aside and told of', async () => {
  await writeFile(file, '{"format":1,"services":[{"name":"web"')
  const exposed = await openExposed({ file, ...OPTIONS })
  expect(exposed.list()).toEqual([])
  const [aside] = await readdir(folder)
  expect(exposed.problem).toContain(aside)
  expect(await readFile(join(folder, aside as string), 'utf8')).toContain('"web"')
})
