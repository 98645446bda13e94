import { expect, test } from 'vitest'
import { createStyle } from '../../command/index.ts'
import type { RolloutEnd } from '../contract.ts'
import { describeEnd } from './view.ts'

const END: RolloutEnd = {
  done: true,
  ok: false,
  timed_out: false,
  id: 'ab'.repeat(32),
  short: '5k2p',
  app: 'api',
  version: '2.0.0',
  state: 'failed',
  reason: 'halted: 1 of 2 nodes failed',
  results: [
    { node: 'pi', ok: true, version: '2.0.0', state: 'healthy', wave: 1 },
    { node: 'vps', ok: false, version: '1.0.0', state: 'refused', wave: 1, reason: 'untrusted_key: no' },
  ],
}

test('where a refusal leaves some nodes ahead, the end says which, and how they go back', () => {
  const hint = 'pi keeps 2.0.0; to go back: warren rollback api --on pi'
  expect(describeEnd(END, { style: createStyle(false) })).toContain(hint)
  expect(describeEnd({ ...END, ok: true }, { style: createStyle(false) })).not.toContain('to go back')
})
