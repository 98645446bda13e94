import type { PackageHeader } from './package-header.ts'

/** Whose signature makes a package acceptable. */
export interface TrustVerdict {
  readonly signers: readonly { readonly keyId: string; readonly name: string }[]
  /** Why it was accepted although something is missing, for a person. */
  readonly warning?: string | undefined
}

/** Asked before a package is accepted; throws where it must not be. */
export type TrustCheck = (pkg: TrustQuestion) => TrustVerdict | Promise<TrustVerdict>

/** A package that is about to be accepted. */
export interface TrustQuestion {
  readonly recordBytes: Uint8Array
  readonly signature: PackageHeader['signature']
  readonly name: string
  readonly version: string
  readonly digest: string
  /** Node id of who brings it; `local` for a person on this machine. */
  readonly by?: string | undefined
}

/** What the trust check is asked about a package. */
export function trustQuestion({ digest, recordBytes, signature, record }: PackageHeader): TrustQuestion {
  return { recordBytes, signature, name: record.name, version: record.version, digest }
}
