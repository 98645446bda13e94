import { z } from 'zod'

/** The section `security:` of the config. A plain object of the form that the config folder takes, which identity may not import. */
export const securitySection = {
  name: 'security',
  description: 'Which packages this node accepts.',
  schema: z
    .strictObject({
      require_signed_packages: z
        .boolean()
        .default(true)
        .describe(
          'Refuse packages without a signature. With false an unsigned package is accepted with a warning; a bad signature, or one by an untrusted key, is refused all the same.',
        ),
    })
    .prefault({}),
} as const
