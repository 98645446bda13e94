/** Modules without ink round the code; ISO/IEC 18004 asks for four, readers take two. */
const QUIET = 2

/**
 * A text as a QR code of half blocks, two rows of modules a line; undefined where it is wider than `columns`. With
 * colours black on white, else in the terminal's own, for one with a dark ground.
 */
export async function drawQrCode(
  text: string,
  { columns, colours }: { columns: number; colours: boolean },
): Promise<string | undefined> {
  const { encode } = await import('uqr')
  const { data, size } = encode(text, { ecc: 'L', border: QUIET })
  if (size > columns) return undefined
  const lines: string[] = []
  for (let y = 0; y < size; y += 2) {
    // An odd last row has nothing below it, which is as light as the ground round it.
    const cells = Array.from({ length: size }, (_, x) => [data[y]?.[x] === true, data[y + 1]?.[x] === true] as const)
    lines.push(cells.map(([top, bottom]) => blockOf(top === colours, bottom === colours)).join(''))
  }
  return lines.map((line) => (colours ? `\u001b[30;107m${line}\u001b[0m` : line)).join('\n')
}

/** A block where there is ink. */
function blockOf(top: boolean, bottom: boolean): string {
  if (top) return bottom ? '█' : '▀'
  return bottom ? '▄' : ' '
}
