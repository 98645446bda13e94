/** Semantic Versioning 2.0.0; the parts that decide the order. */
const FORM = /^(\d{1,15})\.(\d{1,15})\.(\d{1,15})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/

/**
 * Which of two versions comes first (semver.org 2.0.0, section 11): below 0 where `a` does, above 0 where `b` does, 0
 * where they rank alike; build metadata does not count. Undefined where one of them is no version.
 */
export function compareVersions(a: string, b: string): number | undefined {
  const [left, right] = [parse(a), parse(b)]
  if (left === undefined || right === undefined) return undefined
  for (const [index, part] of left.numbers.entries()) {
    const order = part - (right.numbers[index] as number)
    if (order !== 0) return order
  }
  return comparePreRelease(left.preRelease, right.preRelease)
}

function parse(version: string): { numbers: number[]; preRelease: string[] } | undefined {
  const found = FORM.exec(version)
  if (found === null) return undefined
  const preRelease = found[4] === undefined ? [] : found[4].split('.')
  return preRelease.includes('') ? undefined : { numbers: found.slice(1, 4).map(Number), preRelease }
}

function comparePreRelease(a: readonly string[], b: readonly string[]): number {
  // A release comes after all that led to it.
  if (a.length === 0 || b.length === 0) return b.length - a.length
  for (const [index, left] of a.entries()) {
    const right = b[index]
    if (right === undefined) return 1
    const order = compareIdentifier(left, right)
    if (order !== 0) return order
  }
  return a.length - b.length
}

function compareIdentifier(a: string, b: string): number {
  const [isNumberA, isNumberB] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (isNumberA && isNumberB) return Number(BigInt(a) - BigInt(b))
  if (isNumberA !== isNumberB) return isNumberA ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}
