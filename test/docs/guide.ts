/** A page of docs as a list of commands, each with the exit code and the output that the page promises. */

export interface GuideCommand {
  /** What a person types; may have several lines (a here-document). */
  readonly text: string
  readonly line: number
  /** From `# exits N`; else 0. */
  readonly exits: number
  /** `# until Ctrl-C`: it is interrupted as soon as it has said something. */
  readonly untilInterrupted: boolean
}

export interface GuideBlock {
  readonly commands: readonly GuideCommand[]
  /** Lines of the ```text block that follows. */
  readonly output: readonly string[]
}

/**
 * The ```sh blocks of a page in order, each with the ```text block that comes right after it. What a reader does by hand
 * in between stands in a comment, from a line `<!-- sh` to a line `-->`, and is a block as well.
 */
export function blocksOf(page: string): GuideBlock[] {
  const blocks: { commands: GuideCommand[]; output: string[] }[] = []
  const lines = page.split('\n')
  for (let index = 0; index < lines.length; index++) {
    const fence = /^(?:```|<!-- )(sh|text)$/.exec(lines[index] as string)
    if (fence === null) continue
    const end = lines.indexOf(fence[0].startsWith('<') ? '-->' : '```', index + 1)
    if (end === -1) throw new Error(`the block of line ${index + 1} has no end`)
    const body = lines.slice(index + 1, end)
    if (fence[1] === 'sh') blocks.push({ commands: commandsOf(body, index + 2), output: [] })
    else blocks.at(-1)?.output.push(...body)
    index = end
  }
  return blocks
}

function commandsOf(body: readonly string[], firstLine: number): GuideCommand[] {
  const commands: GuideCommand[] = []
  for (let index = 0; index < body.length; index++) {
    const first = body[index] as string
    if (first.trim() === '') continue
    const start = index
    const endWord = /<<'?(\w+)'?/.exec(first)?.[1]
    if (endWord !== undefined) while (body[index] !== endWord) index++
    commands.push({
      text: body.slice(start, index + 1).join('\n'),
      line: firstLine + start,
      exits: Number(/# exits (\d+)/.exec(first)?.[1] ?? 0),
      untilInterrupted: /# until Ctrl-C/.test(first),
    })
  }
  return commands
}

/**
 * The first line of `expected` that has no counterpart in `output`, in order; `undefined` where all have one. Lines are
 * compared by their words up to the first that has a digit or an ellipsis, at most three.
 */
export function firstMissing(expected: readonly string[], output: string): string | undefined {
  const left = output.split('\n').map((line) => line.trim())
  for (const line of expected) {
    const start = stableStart(line)
    const at = left.findIndex((said) => said.replaceAll(/ +/g, ' ').startsWith(start))
    if (at === -1) return line
    left.splice(0, at + 1)
  }
  return undefined
}

function stableStart(line: string): string {
  const words = line.trim().split(/ +/).slice(0, 3)
  const varies = words.findIndex((word) => /[0-9…/]/.test(word))
  return words.slice(0, varies === -1 ? undefined : Math.max(varies, 0)).join(' ')
}
