import { defineErrors } from '../base/errors.ts'

export const commandErrors = defineErrors({
  command_unknown: { status: 400, summary: 'There is no command of that name.' },
  secret_missing: {
    status: 400,
    summary: 'A command asked for a secret and got none, or more than 4 KiB.',
  },
  option_invalid: {
    status: 400,
    summary: 'An option or argument of the command is missing, unknown or has a wrong value.',
  },
})
