import { memberErrors } from './errors.ts'

/** Labels of a node. */
export type Labels = Readonly<Record<string, string>>

/** True for the labels that a selector selects. */
export type Selector = (labels: Labels) => boolean

const KEY = '[A-Za-z0-9][A-Za-z0-9_./-]{0,62}'
const VALUE = '[A-Za-z0-9_.:/-]{0,128}'
const TERM = new RegExp(`^(${KEY})\\s*(?:(=|==|!=)\\s*(${VALUE})|(in)\\s*\\(([^()]*)\\))?$`)

/**
 * Parses a label selector (VER-3): terms joined by commas that all must hold, each `k=v`, `k!=v`, `k in (a,b)` or `k`
 * (the label is there). Fails with `selector_invalid` naming the term.
 */
export function parseSelector(text: string): Selector {
  const terms = splitTerms(text).map(parseTerm)
  return (labels) => terms.every((term) => term(labels))
}

/** True where the text can only be a selector, never the name of a node. */
export function looksLikeSelector(text: string): boolean {
  return /[=,(!\s]/.test(text)
}

/** At each comma but those inside parentheses, which belong to a list. In one pass: the text comes from others. */
function splitTerms(text: string): string[] {
  const terms: string[] = []
  let start = 0
  let inList = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '(' || character === ')') inList = character === '('
    if (character !== ',' || inList) continue
    terms.push(text.slice(start, at))
    start = at + 1
  }
  return [...terms, text.slice(start)]
}

function parseTerm(text: string): Selector {
  const found = TERM.exec(text.trim())
  if (found === null) {
    throw memberErrors.selector_invalid(`"${text.trim()}" is not a label selector`, {
      hint: 'Write site=home, tier!=db, zone in (a,b), or the name of a label; join with commas.',
    })
  }
  const [, key, operator, value, isIn, list] = found as unknown as [string, string, string?, string?, string?, string?]
  if (isIn !== undefined) {
    const values = (list ?? '').split(',').map((each) => each.trim())
    return (labels) => Object.hasOwn(labels, key) && values.includes(labels[key] as string)
  }
  if (operator === '!=') return (labels) => !Object.hasOwn(labels, key) || labels[key] !== value
  if (operator !== undefined) return (labels) => Object.hasOwn(labels, key) && labels[key] === value
  return (labels) => Object.hasOwn(labels, key)
}
