import { defineErrors } from '../base/errors.ts'

/** What can be wrong with a manifest, a folder to pack, an archive or its signature. */
export const bundleErrors = defineErrors({
  manifest_invalid: { status: 422, summary: 'The manifest has faults; each is named with line and column.' },
  manifest_missing: { status: 404, summary: 'The folder or archive has no manifest.yaml.' },
  manifest_unsupported: {
    status: 501,
    summary: 'The manifest asks for something that this release cannot do and that must not be left out silently.',
  },
  entrypoint_invalid: {
    status: 422,
    summary: 'The entrypoint of the manifest is not in the package, or is not executable there.',
  },
  file_refused: {
    status: 422,
    summary: 'A file of the folder cannot be packed: a link that leaves it, a device, or a name that is not portable.',
  },
  file_changed: { status: 409, summary: 'A file changed while it was being packed; nothing was written.' },
  package_too_large: {
    status: 413,
    summary: 'A package is past a limit on bytes, files, path length or the size of its index.',
  },
  archive_damaged: {
    status: 422,
    summary: 'The file is no tar.gz, is cut short, or its tar structure is broken.',
  },
  archive_path_refused: {
    status: 422,
    summary: 'An entry of the archive has a path that is absolute, has "..", or is otherwise not safe.',
  },
  archive_entry_refused: {
    status: 422,
    summary: 'An entry of the archive is a link, a device or another kind that packages do not have.',
  },
  archive_duplicate: { status: 422, summary: 'Two entries of the archive have the same path.' },
  record_missing: {
    status: 422,
    summary: 'The archive does not begin with the package record and index: it is no package, or was packed by hand.',
  },
  record_invalid: {
    status: 422,
    summary: 'The package record is malformed or of a format that this release does not know.',
  },
  index_invalid: { status: 422, summary: 'The chunk index of a package is malformed.' },
  package_mismatch: {
    status: 422,
    summary: 'The bytes of a package are not those that its record and index name: it was changed after packing.',
  },
  signature_invalid: { status: 422, summary: 'A signature file is malformed or belongs to another package.' },
  starter_exists: { status: 409, summary: 'A file that the starter app would write is already there.' },
  signing_key_missing: { status: 404, summary: 'There is no signing key where one was expected.' },
})
