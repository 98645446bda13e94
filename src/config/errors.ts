import { defineErrors } from '../base/errors.ts'

/** A place in a config and what is wrong there; travels in the `details.faults` of `config_invalid`. */
export interface ConfigFault {
  /** Where the value comes from: `config.yaml:7:3`, an environment variable, or `option`. */
  readonly place: string
  /** Dotted key, such as `net.listen`; empty for the whole file. */
  readonly key: string
  readonly message: string
}

export const configErrors = defineErrors({
  config_invalid: {
    status: 422,
    summary: 'The config has unknown keys or wrong values; each is named with its line and column.',
  },
  config_key_unknown: { status: 404, summary: 'No section of the config has a key of that name.' },
  config_not_found: { status: 404, summary: 'The config file named by an option or a variable does not exist.' },
  config_version_unknown: {
    status: 422,
    summary: 'The config file has a version that this release can neither read nor migrate.',
  },
  config_changed: { status: 409, summary: 'The config file was changed by someone else while it was being edited.' },
  config_editor_failed: {
    status: 500,
    summary: 'The editor did not start or ended with a failure; nothing was changed.',
  },
})

/** The error for these faults: one line each, the machine-readable list in its details. */
export function configInvalid(faults: readonly ConfigFault[], hint?: string): Error {
  const lines = faults.map(({ place, key, message }) => `${place}  ${key === '' ? '' : `${key}: `}${message}`)
  return configErrors.config_invalid(lines.join('\n'), {
    hint: hint ?? 'Correct these, then check: warren config validate',
    details: { faults },
  })
}
