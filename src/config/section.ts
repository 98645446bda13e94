import type { z } from 'zod'

/** A feature's part of the config: the keys under one noun. */
export interface Section<N extends string = string, S extends z.ZodType = z.ZodType> {
  readonly name: N
  /** One sentence, shown above the section in the file and the docs. */
  readonly description: string
  /** A strict object; every key has a default of its own and a `.describe()`; it may hold objects of further keys. */
  readonly schema: S
}

/** The parsed values by section name. */
export type ConfigValues<T extends readonly Section[]> = { [E in T[number] as E['name']]: z.output<E['schema']> }

/** Defines a section; a feature's `config.ts` exports one. */
export function defineSection<N extends string, S extends z.ZodType>(init: {
  readonly name: N
  readonly description: string
  readonly schema: S
}): Section<N, S> {
  return init
}
