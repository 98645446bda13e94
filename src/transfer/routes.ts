import type { z } from 'zod'
import { implement, type Route } from '../api/contract.ts'
import { transferContract } from './contract.ts'
import { transferErrors } from './errors.ts'
import type { PackageStore } from './index.ts'
import { receiveUpload } from './receive-upload.ts'
import type { StoredPackage } from './store.ts'

/** The calls of the noun `package`, answered from the packages of this node. */
export function transferRoutes(packages: PackageStore): Route[] {
  return [
    implement(transferContract.upload, async ({ upload, signal, caller }) => {
      const { signature, archive } = await receiveUpload(upload)
      const { digest, record, added, signers, warnings } = await packages.add(archive, signature, {
        signal,
        by: caller.door === 'local' ? 'local' : caller.id,
      })
      const { name, version, bytes: size } = record
      const keys = signers.map((signer) => ({ key: signer.keyId, name: signer.name }))
      return { digest, name, version, size, added, signers: keys, warnings: [...warnings] }
    }),
    implement(transferContract.list, async () => (await packages.list()).map(viewOf)),
    implement(transferContract.get, async ({ params }) => {
      const stored = await packages.get(params.digest)
      if (stored === undefined) throw transferErrors.package_not_found(`no package ${params.digest} is stored here`)
      return viewOf(stored)
    }),
    implement(transferContract.remove, async ({ params }) => {
      await packages.remove(params.digest)
      return { removed: true as const }
    }),
  ]
}

function viewOf({ digest, record, signature, complete }: StoredPackage): z.input<typeof transferContract.get.response> {
  return {
    digest,
    name: record.name,
    version: record.version,
    size: record.bytes,
    files: record.files,
    platforms: [...record.platform],
    keys: signature?.signatures.map(({ keyid }) => keyid) ?? [],
    complete,
  }
}
