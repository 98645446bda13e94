import { join } from 'node:path'
import { z } from 'zod'
import { readFileBounded, writeFileAtomic } from '../base/files.ts'
import { labErrors } from './errors.ts'

/** What is written down of a lab: its nodes and where they live. */
export interface LabFile {
  readonly nodes: readonly {
    readonly name: string
    readonly id: string
    readonly home: string
    readonly port: number
  }[]
}

const schema = z.object({
  format: z.literal(1),
  nodes: z
    .array(z.object({ name: z.string(), id: z.string(), home: z.string(), port: z.number().int() }))
    .min(1)
    .max(100),
})

/** Where the lab of a home is: one folder in it, so that it goes with it. */
export const labFolderOf = (home: string): string => join(home, 'lab')

/** The lab of a home; undefined where there is none. */
export async function readLab(home: string): Promise<LabFile | undefined> {
  const path = join(labFolderOf(home), 'lab.json')
  const bytes = await readFileBounded(path, 256 * 1024)
  if (bytes === undefined) return undefined
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')))
  } catch (error) {
    throw labErrors.lab_not_found(`${path} cannot be read`, {
      cause: error,
      hint: `Take the lab away: rm -r ${labFolderOf(home)}`,
    })
  }
}

export async function writeLab(home: string, lab: LabFile): Promise<void> {
  await writeFileAtomic(join(labFolderOf(home), 'lab.json'), `${JSON.stringify({ format: 1, ...lab }, null, 2)}\n`)
}

/** The home of the lab's first node, where there is a lab; for commands of a user with no home of their own. */
export async function firstLabHome(home: string): Promise<string | undefined> {
  return (await readLab(home).catch(() => undefined))?.nodes[0]?.home
}
