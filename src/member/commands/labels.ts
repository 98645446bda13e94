import { baseErrors } from '../../base/errors.ts'

/** Labels of options such as `--label site=home`. Fails with `invalid_value`. */
export function parseLabels(words: readonly string[]): Record<string, string> {
  return parseLabelChange(words, { removal: false }).set
}

/** Words such as `site=home`, which sets a label, and `site-`, which removes it. Fails with `invalid_value`. */
export function parseLabelChange(
  words: readonly string[],
  { removal = true }: { removal?: boolean } = {},
): { set: Record<string, string>; remove: string[] } {
  const set: Record<string, string> = {}
  const remove: string[] = []
  for (const word of words) {
    const [, key, value] = /^([^=\s]+)=(.*)$/s.exec(word) ?? []
    if (key !== undefined && value !== undefined) set[key] = value
    else if (removal && /^[^=\s]+-$/.test(word)) remove.push(word.slice(0, -1))
    else {
      throw baseErrors.invalid_value(`"${word}" is not a label`, {
        hint: removal ? 'site=home sets a label, site- removes it.' : 'A label is KEY=VALUE, such as site=home.',
      })
    }
  }
  return { set, remove }
}
