import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createSigner, decodeEnvelope, signersOf } from '../identity/index.ts'
import { makeApp, temporaryFolder } from './fixtures/app.ts'
import { packBinary, packFolder } from './pack.ts'
import { PACKAGE_PAYLOAD_TYPE, packageDigest } from './package-record.ts'
import { signArchive } from './signature.ts'

function listed(file: string): string[] {
  return execFileSync('tar', ['-tzf', file]).toString().trim().split('\n')
}

test('the same files give the same bytes, whatever their times, order and owner’s bits', async () => {
  const folder = makeApp({ 'bin/run': '#!/bin/sh\n', 'a.txt': 'a', 'big.bin': 'x'.repeat(2_500_000) })
  const other = join(temporaryFolder(), 'copy')
  cpSync(folder, other, { recursive: true })
  utimesSync(join(other, 'a.txt'), 1, 1)
  chmodSync(join(other, 'a.txt'), 0o600)
  const one = await packFolder({ folder, output: temporaryFolder(), signers: [] })
  const two = await packFolder({ folder: other, output: temporaryFolder(), signers: [] })
  expect(two.digest).toBe(one.digest)
  expect(readFileSync(two.file).equals(readFileSync(one.file))).toBe(true)
})

test('record, index and manifest come first; the rest is sorted, with plain modes, no times and no owner', async () => {
  const folder = makeApp({ 'bin/run': '#!/bin/sh\n', 'z.txt': 'z', 'B.txt': 'b' })
  chmodSync(join(folder, 'z.txt'), 0o664)
  const { file, size } = await packFolder({ folder, output: temporaryFolder(), signers: [] })
  expect(statSync(file).size).toBe(size)
  expect(listed(file)).toEqual([
    '.warren/record.json',
    '.warren/index',
    'manifest.yaml',
    'B.txt',
    'bin/run',
    'run.sh',
    'z.txt',
  ])
  const long = execFileSync('tar', ['--utc', '-tvzf', file]).toString()
  expect(long).toMatch(/-rwxr-xr-x 0\/0 +\d+ 1970-01-01 00:00 bin\/run/)
  expect(long).toMatch(/-rw-r--r-- 0\/0 +\d+ 1970-01-01 00:00 z\.txt/)
  execFileSync('gzip', ['-t', file])
})

test('the digest is the SHA-256 of the record that travels in the archive', async () => {
  const packed = await packFolder({ folder: makeApp(), output: temporaryFolder(), signers: [] })
  const record = execFileSync('tar', ['-xOzf', packed.file, '.warren/record.json'])
  expect(packageDigest(record)).toBe(packed.digest)
  expect(JSON.parse(record.toString())).toEqual(packed.record)
})

test('a package is signed by every signer over its record, and another can be added later', async () => {
  const keys = temporaryFolder()
  const signers = [await createSigner(join(keys, 'a.key')), await createSigner(join(keys, 'b.key'))]
  const packed = await packFolder({ folder: makeApp(), output: temporaryFolder(), signers })
  const read = () => decodeEnvelope(readFileSync(packed.signatureFile as string), { payloadType: PACKAGE_PAYLOAD_TYPE })
  expect(packageDigest(read().payload)).toBe(packed.digest)
  expect(
    signersOf(
      read(),
      signers.map((signer) => signer.publicKey),
    ),
  ).toHaveLength(2)
  const third = await createSigner(join(keys, 'c.key'))
  await signArchive({ file: packed.file, signer: third })
  expect(
    signersOf(
      read(),
      [...signers, third].map((signer) => signer.publicKey),
    ),
  ).toHaveLength(3)
})

test('a signature of another package is never added to', async () => {
  const keys = temporaryFolder()
  const signer = await createSigner(join(keys, 'a.key'))
  const output = temporaryFolder()
  const one = await packFolder({ folder: makeApp(), output, signers: [signer] })
  const two = await packFolder({ folder: makeApp({ 'more.txt': '1' }), output: temporaryFolder(), signers: [] })
  cpSync(one.signatureFile as string, `${two.file}.sig`)
  await expect(signArchive({ file: two.file, signer })).rejects.toMatchObject({ code: 'signature_invalid' })
})

test('packing again without a key takes the old signature away', async () => {
  const signer = await createSigner(join(temporaryFolder(), 'a.key'))
  const folder = makeApp()
  const output = temporaryFolder()
  const { signatureFile } = await packFolder({ folder, output, signers: [signer] })
  expect(readdirSync(output)).toHaveLength(2)
  await packFolder({ folder, output, signers: [] })
  expect(readdirSync(output)).not.toContain(signatureFile)
  expect(readdirSync(output)).toHaveLength(1)
})

test('.git, .warren, what .warrenignore names and earlier archives are left out', async () => {
  const folder = makeApp({
    '.git/config': 'x',
    'sub/.git': 'x',
    '.warren/index': 'x',
    '.warrenignore': '*.log\n/secret/\n',
    'a.log': 'x',
    'secret/key': 'x',
    'sub/keep': 'x',
    'hello-0.9.0.tar.gz': 'x',
    'hello-0.9.0.tar.gz.sig': 'x',
    'other-0.9.0.tar.gz': 'x',
  })
  const first = await packFolder({ folder, output: folder, signers: [] })
  expect(listed(first.file).slice(2)).toEqual(['manifest.yaml', 'other-0.9.0.tar.gz', 'run.sh', 'sub/keep'])
  const second = await packFolder({ folder, output: folder, signers: [] })
  expect(second.digest).toBe(first.digest)
})

test('a link to a file of the folder is packed as that file', async () => {
  const folder = makeApp({ 'real.txt': 'content' })
  symlinkSync('real.txt', join(folder, 'link.txt'))
  const { file } = await packFolder({ folder, output: temporaryFolder(), signers: [] })
  expect(execFileSync('tar', ['-xOzf', file, 'link.txt']).toString()).toBe('content')
  expect(execFileSync('tar', ['-tvzf', file]).toString()).not.toContain('->')
})

test.each<[string, (folder: string) => void]>([
  ['a link that leaves the folder', (folder) => symlinkSync('/etc/hostname', join(folder, 'bad'))],
  ['a link to nothing', (folder) => symlinkSync('nowhere', join(folder, 'bad'))],
  [
    'a link to a folder',
    (folder) => {
      mkdirSync(join(folder, 'real'))
      symlinkSync('real', join(folder, 'bad'))
    },
  ],
  ['a pipe', (folder) => void execFileSync('mkfifo', [join(folder, 'bad')])],
  ['a name with a backslash', (folder) => writeFileSync(join(folder, 'bad\\name'), '')],
  [
    'a name that is not UTF-8',
    (folder) => writeFileSync(Buffer.concat([Buffer.from(`${folder}/bad`), Buffer.of(0xff)]), ''),
  ],
])('%s is refused by name, and nothing is written', async (_what, spoil) => {
  const folder = makeApp()
  spoil(folder)
  const output = temporaryFolder()
  await expect(packFolder({ folder, output, signers: [] })).rejects.toMatchObject({
    code: 'file_refused',
    message: expect.stringContaining('bad'),
  })
  expect(readdirSync(output)).toEqual([])
})

test('an entrypoint that is not there or not executable is refused', async () => {
  const missing = makeApp({}, 'entrypoint: ./nothing.sh')
  await expect(packFolder({ folder: missing, output: temporaryFolder(), signers: [] })).rejects.toMatchObject({
    code: 'entrypoint_invalid',
  })
  const plain = makeApp()
  chmodSync(join(plain, 'run.sh'), 0o644)
  await expect(packFolder({ folder: plain, output: temporaryFolder(), signers: [] })).rejects.toMatchObject({
    code: 'entrypoint_invalid',
    hint: expect.stringContaining('chmod +x'),
  })
  const onPath = makeApp({}, 'entrypoint: node')
  await expect(packFolder({ folder: onPath, output: temporaryFolder(), signers: [] })).resolves.toBeDefined()
})

test('another version replaces only the manifest’s version', async () => {
  const folder = makeApp({
    'manifest.yaml': '# mine\nname: hello   # name\nversion: "1.0.0"  # v\nentrypoint: ./run.sh\n',
  })
  const output = temporaryFolder()
  const packed = await packFolder({ folder, output, signers: [], version: '1.0.0-dev.3' })
  expect(packed.file).toBe(join(output, 'hello-1.0.0-dev.3.tar.gz'))
  const manifest = execFileSync('tar', ['-xOzf', packed.file, 'manifest.yaml']).toString()
  expect(manifest).toBe('# mine\nname: hello   # name\nversion: "1.0.0-dev.3"  # v\nentrypoint: ./run.sh\n')
  await expect(packFolder({ folder, output, signers: [], version: '1' })).rejects.toMatchObject({
    code: 'manifest_invalid',
  })
})

test('one program is packed with a manifest that starts it', async () => {
  const program = join(makeApp(), 'run.sh')
  const packed = await packBinary({
    file: program,
    name: 'tool',
    version: '2.0.0',
    output: temporaryFolder(),
    signers: [],
  })
  expect(packed.manifest).toMatchObject({ name: 'tool', version: '2.0.0', entrypoint: './run.sh' })
  expect(listed(packed.file).slice(2)).toEqual(['manifest.yaml', 'run.sh'])
  const bad = packBinary({ file: program, name: 'Tool!', version: '2.0.0', output: temporaryFolder(), signers: [] })
  await expect(bad).rejects.toMatchObject({ code: 'manifest_invalid' })
})

test('a folder without a manifest, or with a bad one, is refused with the next step', async () => {
  const output = temporaryFolder()
  await expect(packFolder({ folder: temporaryFolder(), output, signers: [] })).rejects.toMatchObject({
    code: 'manifest_missing',
  })
  const bad = makeApp({}, 'entrypoint: ./run.sh\nresources:\n  cpu_percnt: 50')
  await expect(packFolder({ folder: bad, output, signers: [] })).rejects.toMatchObject({
    code: 'manifest_invalid',
    message: expect.stringMatching(/manifest\.yaml:5:3 {2}resources\.cpu_percnt: .*did you mean cpu_percent\?/),
  })
  expect(readdirSync(output)).toEqual([])
})

test('limits and a cancel leave nothing behind, and an earlier archive as it was', async () => {
  const folder = makeApp({ 'a.txt': 'aaaa', 'b.txt': 'bbbb' })
  const output = temporaryFolder()
  const { file } = await packFolder({ folder, output, signers: [] })
  const before = readFileSync(file)
  writeFileSync(join(folder, 'a.txt'), 'new')
  const limits = { maxBytes: 1e6, maxFiles: 3 }
  await expect(packFolder({ folder, output, signers: [], limits })).rejects.toMatchObject({ code: 'package_too_large' })
  await expect(packFolder({ folder, output, signers: [], limits: { ...limits, maxBytes: 20 } })).rejects.toMatchObject({
    code: 'package_too_large',
  })
  const stop = new AbortController()
  const onProgress = ({ bytes, total }: { bytes: number; total: number }) => {
    if (bytes > total / 2) stop.abort(new Error('enough'))
  }
  await expect(packFolder({ folder, output, signers: [], signal: stop.signal, onProgress })).rejects.toThrow('enough')
  expect(readdirSync(output)).toEqual(['hello-1.0.0.tar.gz'])
  expect(readFileSync(file).equals(before)).toBe(true)
})

test('a file that changes while it is packed is noticed', async () => {
  const folder = makeApp({ 'a.txt': 'aaaa' })
  const output = temporaryFolder()
  for (const text of ['bbbb', 'much longer']) {
    writeFileSync(join(folder, 'a.txt'), 'aaaa')
    let isFirst = true
    const onProgress = ({ bytes, total }: { bytes: number; total: number }) => {
      if (isFirst && bytes >= Math.floor(total / 2)) {
        isFirst = false
        writeFileSync(join(folder, 'a.txt'), text)
      }
    }
    await expect(packFolder({ folder, output, signers: [], onProgress })).rejects.toMatchObject({
      code: 'file_changed',
    })
  }
  expect(readdirSync(output)).toEqual([])
})

test('bytes that do not compress are stored, others shrink, and both come back', async () => {
  const noise = Buffer.concat(Array.from({ length: 700 }, () => crypto.getRandomValues(Buffer.alloc(4096))))
  const folder = makeApp({ 'noise.bin': noise, 'text.txt': 'the same line\n'.repeat(200_000) })
  const { file, size } = await packFolder({ folder, output: temporaryFolder(), signers: [] })
  expect(size).toBeLessThan(noise.length + 400_000)
  expect(execFileSync('tar', ['-xOzf', file, 'noise.bin'], { maxBuffer: 1e8 }).equals(noise)).toBe(true)
  expect(gunzipSync(readFileSync(file)).length).toBeGreaterThan(noise.length + 2_800_000)
})
