import { z } from 'zod'

/** A query value that is true where it is `true`, `1` or empty (`?follow`), and false where it is absent, `false` or `0`. */
export function queryFlag() {
  return z
    .enum(['true', 'false', '1', '0', ''])
    .or(z.boolean())
    .optional()
    .transform((value) => value === true || value === 'true' || value === '1' || value === '')
}
