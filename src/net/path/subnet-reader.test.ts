import { expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { type Subnet, SubnetReader } from './address-words.ts'

test('the networks of this machine are read once a second at most, and at once when they have changed', () => {
  const clock = new ManualClock(0)
  const read: Subnet[][] = []
  const reader = new SubnetReader(clock, () => {
    read.push([{ address: `10.0.0.${read.length}`, bits: 24, internal: false }])
    return read.at(-1) as Subnet[]
  })
  for (let time = 0; time < 5; time++) expect(reader.now()).toBe(read[0])
  clock.advance(1_000)
  expect(reader.now()).toBe(read[1])
  reader.changed()
  expect(reader.now()).toBe(read[2])
  expect(read).toHaveLength(3)
})
