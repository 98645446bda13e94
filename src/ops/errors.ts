import { defineErrors } from '../base/errors.ts'

export const opsErrors = defineErrors({
  daemon_already_running: {
    status: 409,
    summary: 'Another daemon, or a command that stands in for one, holds this home.',
  },
  lock_damaged: {
    status: 500,
    summary: 'What stands in the place of the lock of the home is no lock; it holds nothing.',
  },
  socket_unusable: { status: 500, summary: 'The socket of the daemon cannot be made at its place.' },
})
