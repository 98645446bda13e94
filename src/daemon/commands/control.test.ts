import { expect, test } from 'vitest'
import { daemonEnvironment } from './control.ts'

test('a daemon does not keep the secrets of the command that has started it', () => {
  const kept = { PATH: '/bin', WARREN_HOME: '/h', WARREN_PASSPHRASE: 'to open authority.key at the start' }
  const env = {
    ...kept,
    WARREN_INVITE: 'i',
    WARREN_TOKEN: 't',
    WARREN_NEW_PASSPHRASE: 'n',
    WARREN_NEW_PASSPHRASE_FILE: 'f',
  }
  expect(daemonEnvironment(env)).toEqual(kept)
})
