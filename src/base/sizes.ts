const UNIT_BYTES: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/**
 * Bytes of `512B`, `64KB`, `1.5 GB` (decimal) or `10MiB` (binary); undefined where it is anything else. A bare number
 * is refused, as is a size that is no whole number of bytes.
 */
export function parseSize(text: string): number | undefined {
  const parts = /^(\d+(?:\.\d+)?) ?([KMGT]?i?B)$/.exec(text)
  const unit = UNIT_BYTES[parts?.[2] ?? '']
  if (parts === null || unit === undefined) return undefined
  const bytes = Number(parts[1]) * unit
  const whole = Math.round(bytes)
  return Number.isSafeInteger(whole) && Math.abs(bytes - whole) < 1e-6 ? whole : undefined
}
