import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { runWords } from '../../command/index.ts'
import { createSigner, formatPublicKey, foundNetwork, removePolicy, setPolicy } from '../../identity/index.ts'
import { makeApp, temporaryFolder } from '../fixtures/app.ts'
import { bundleCommands } from './index.ts'

interface Ran {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  // biome-ignore lint/suspicious/noExplicitAny: what a script would read
  readonly json: any
}

interface Place {
  readonly cwd: string
  readonly home: string
  readonly env?: Readonly<Record<string, string>>
}

async function warren(words: readonly string[], { cwd, home, env = {} }: Place): Promise<Ran> {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const exitCode = await runWords(
    {
      entries: bundleCommands,
      version: '0.0.0',
      env: { WARREN_HOME: home, ...env },
      cwd,
      stdin: Readable.from([]),
      program: ['warren'],
      stdout,
      stderr,
      signal: new AbortController().signal,
    },
    words,
  )
  const read = (stream: PassThrough) => String(stream.read() ?? '')
  const out = read(stdout)
  return { exitCode, stdout: out, stderr: read(stderr), json: words.includes('--json') ? JSON.parse(out) : undefined }
}

async function homeWithKey(): Promise<string> {
  const home = temporaryFolder()
  mkdirSync(join(home, 'keys', 'trusted'), { recursive: true, mode: 0o700 })
  const signer = await createSigner(join(home, 'keys', 'signing.key'))
  writeFileSync(join(home, 'keys', 'signing.pub'), formatPublicKey(signer.publicKey, 'alice'))
  return home
}

test('pack signs with the home’s key and prints what scripts rely on', async () => {
  const home = await homeWithKey()
  const output = temporaryFolder()
  const { json, exitCode } = await warren(['pack', makeApp(), '--output', output, '--json'], { cwd: output, home })
  expect(exitCode).toBe(0)
  expect(json).toMatchObject({
    file: join(output, 'hello-1.0.0.tar.gz'),
    size: expect.any(Number),
    name: 'hello',
    version: '1.0.0',
  })
  expect(json.digest).toMatch(/^[0-9a-f]{64}$/)
  expect(json.signature).toBe(`${json.file}.sig`)
  expect(readdirSync(output)).toEqual(['hello-1.0.0.tar.gz', 'hello-1.0.0.tar.gz.sig'])
  const shown = await warren(['pack', makeApp()], { cwd: output, home })
  expect(shown.stdout).toMatch(/^hello 1\.0\.0 {2}2 files {2}\d+ B {2}signed by alice \(ed25519 [0-9a-f]{4}…\)\n/)
})

test('pack without a key packs and says that the package is unsigned; --unsigned says nothing', async () => {
  const home = temporaryFolder()
  const cwd = temporaryFolder()
  const ran = await warren(['pack', makeApp(), '--json'], { cwd, home })
  expect(ran.json).toMatchObject({ signature: null, signed_by: null })
  expect(ran.stderr).toContain('unsigned')
  const asked = await warren(['pack', makeApp(), '--unsigned'], { cwd, home: await homeWithKey() })
  expect(asked.stderr).toBe('')
  expect(readdirSync(cwd)).toEqual(['hello-1.0.0.tar.gz'])
})

test('pack --app packs one program, and asks for name and version', async () => {
  const cwd = makeApp()
  const home = temporaryFolder()
  const good = await warren(['pack', '--app', 'run.sh', '--name', 'tool', '--version', '2.1.0', '--json'], {
    cwd,
    home,
  })
  expect(good.json.file).toBe(join(cwd, 'tool-2.1.0.tar.gz'))
  expect((await warren(['pack', '--app', 'run.sh'], { cwd, home })).exitCode).toBe(2)
  expect(
    (await warren(['pack', 'x', '--app', 'run.sh', '--name', 'a', '--version', '1.0.0'], { cwd, home })).exitCode,
  ).toBe(2)
})

test('pack shows what the manifest asks for in vain, and every fault of a bad one', async () => {
  const home = await homeWithKey()
  const cwd = temporaryFolder()
  const warned = await warren(['pack', makeApp({}, 'entrypoint: ./run.sh\nrestart: always')], { cwd, home })
  expect(warned.exitCode).toBe(0)
  expect(warned.stderr).toContain('restart')
  const bad = await warren(['pack', makeApp({}, 'entrypoint: ./run.sh\nlables: {}\nargs: 1'), '--json'], { cwd, home })
  expect(bad.exitCode).toBe(2)
  expect(bad.json.error.code).toBe('manifest_invalid')
  expect(bad.json.error.message).toMatch(/:4:1 {2}lables: .*did you mean labels\?\n.*:5:7 {2}args: /)
})

test('sign adds a signature by another key; without any key it names the next step', async () => {
  const home = await homeWithKey()
  const cwd = temporaryFolder()
  const { json } = await warren(['pack', makeApp(), '--unsigned', '--json'], { cwd, home })
  await createSigner(join(cwd, 'team.key'))
  expect((await warren(['sign', json.file, '--json'], { cwd, home })).json.signatures).toHaveLength(1)
  expect(
    (await warren(['sign', json.file, '--key', 'team.key', '--json'], { cwd, home })).json.signatures,
  ).toHaveLength(2)
  const none = await warren(['sign', json.file, '--json'], { cwd, home: temporaryFolder() })
  expect(none).toMatchObject({
    exitCode: 3,
    json: { error: { code: 'signing_key_missing', hint: expect.stringContaining('keygen') } },
  })
})

test('inspect shows all there is in a package', async () => {
  const home = await homeWithKey()
  const cwd = temporaryFolder()
  const app = makeApp({ 'bin/tool': 'x' }, 'entrypoint: ./run.sh\nports: {web: auto}\nenv: {MODE: fast}')
  const packed = (await warren(['pack', app, '--json'], { cwd, home })).json
  const { json } = await warren(['inspect', packed.file, '--json'], { cwd, home })
  expect(json).toMatchObject({
    digest: packed.digest,
    size: packed.size,
    record: { name: 'hello', files: 3 },
    manifest: { ports: { web: 'auto' }, env: { MODE: 'fast' } },
    signatures: [packed.signed_by],
    files: [{ path: 'bin/tool', mode: '755', size: 1, chunks: 1 }, { path: 'manifest.yaml' }, { path: 'run.sh' }],
  })
  const { stdout } = await warren(['inspect', packed.file], { cwd, home })
  for (const part of [packed.digest, 'web auto', 'MODE=fast', 'bin/tool', 'hello 1.0.0']) expect(stdout).toContain(part)
})

test('the starter app packs as it is, runs, and ends when it is asked to', async () => {
  const home = await homeWithKey()
  const cwd = temporaryFolder()
  const made = await warren(['init', 'app', 'My First App', '--json'], { cwd, home })
  expect(made.json).toMatchObject({ name: 'my-first-app', files: ['manifest.yaml', 'run.sh', 'README.md'] })
  const packed = await warren(['pack', 'My First App', '--json'], { cwd, home })
  expect(packed.json).toMatchObject({ name: 'my-first-app', version: '1.0.0', warnings: [] })
  const tree = temporaryFolder()
  execFileSync('tar', ['-xzf', packed.json.file, '-C', tree])
  const script = 'WARREN_NODE=pi ./run.sh & pid=$!; while ! grep -q hello out; do :; done; kill -TERM $pid; wait $pid'
  execFileSync('sh', ['-c', `exec >out; ${script}`], { cwd: tree, timeout: 20_000 })
  expect(readFileSync(join(tree, 'out'), 'utf8')).toBe('hello from pi, version unpacked\ngoodbye\n')
})

test('init app never overwrites', async () => {
  const cwd = temporaryFolder()
  writeFileSync(join(cwd, 'README.md'), 'mine')
  const again = await warren(['init', 'app', '--json'], { cwd, home: cwd })
  expect(again).toMatchObject({ exitCode: 5, json: { error: { code: 'starter_exists' } } })
  expect(readFileSync(join(cwd, 'README.md'), 'utf8')).toBe('mine')
  expect(existsSync(join(cwd, 'manifest.yaml'))).toBe(false)
})

test('a signing key that others can read is refused', async () => {
  const home = await homeWithKey()
  chmodSync(join(home, 'keys', 'signing.key'), 0o644)
  const cwd = temporaryFolder()
  const ran = await warren(['pack', makeApp(), '--json'], { cwd, home })
  expect(ran.exitCode).not.toBe(0)
  expect(ran.json.error.code).toBe('key_permissions')
  expect(readdirSync(cwd)).toEqual([])
})

test('verify accepts a package by a trusted key, and refuses all others by name', async () => {
  const home = await homeWithKey()
  const cwd = temporaryFolder()
  const packed = (await warren(['pack', makeApp(), '--json'], { cwd, home })).json
  const verify = (file: string) => warren(['verify', file, '--json'], { cwd, home })

  expect(await verify(packed.file)).toMatchObject({ exitCode: 4, json: { error: { code: 'untrusted_key' } } })
  cpSync(join(home, 'keys', 'signing.pub'), join(home, 'keys', 'trusted', 'alice.pub'))
  expect(await verify(packed.file)).toMatchObject({
    exitCode: 0,
    json: { digest: packed.digest, signers: [{ key: packed.signed_by, name: 'alice', trusted: true }] },
  })
  const shown = await warren(['verify', packed.file], { cwd, home })
  expect(shown.stdout).toContain('alice')

  const other = (
    await warren(
      ['pack', makeApp({ more: 'x' }, 'entrypoint: ./run.sh\ndescription: other'), '--output', 'other', '--json'],
      { cwd, home },
    )
  ).json
  cpSync(`${packed.file}.sig`, `${other.file}.sig`)
  expect((await verify(other.file)).json.error.code).toBe('bad_signature')

  const unsigned = (await warren(['pack', makeApp(), '--unsigned', '--output', 'unsigned', '--json'], { cwd, home }))
    .json
  expect((await verify(unsigned.file)).json.error.code).toBe('package_unsigned')

  const damaged = readFileSync(packed.file)
  damaged[damaged.length - 40]! ^= 1
  writeFileSync(packed.file, damaged)
  expect((await verify(packed.file)).json.error.code).toMatch(/^(archive_damaged|package_mismatch)$/)
})

test('a protected key signs with its passphrase, and nothing that is printed repeats it', async () => {
  const home = temporaryFolder()
  const cwd = temporaryFolder()
  mkdirSync(join(home, 'keys'), { mode: 0o700 })
  const { keyId } = await createSigner(join(home, 'keys', 'signing.key'), { passphrase: 'some good words' })
  const app = makeApp()
  const locked = await warren(['pack', app, '--json'], { cwd, home })
  expect(locked.json.error).toMatchObject({ code: 'key_locked', hint: expect.stringContaining('WARREN_PASSPHRASE') })
  const wrong = await warren(['pack', app], { cwd, home, env: { WARREN_PASSPHRASE: 'some bad words' } })
  expect(wrong.stderr).toContain('passphrase_wrong')
  expect(readdirSync(cwd)).toEqual([])
  const env = { WARREN_PASSPHRASE: 'some good words' }
  const packed = await warren(['pack', app, '--json'], { cwd, home, env })
  expect(packed.json.signed_by).toBe(keyId)
  writeFileSync(join(cwd, 'words'), 'some good words\n', { mode: 0o600 })
  const file = 'hello-1.0.0.tar.gz'
  const signed = await warren(['sign', file, '--json'], { cwd, home, env: { WARREN_PASSPHRASE_FILE: 'words' } })
  expect(signed.json.signatures).toEqual([keyId])
  const printed = [locked, wrong, packed, signed].map(({ stdout, stderr }) => stdout + stderr).join('')
  expect(printed).not.toMatch(/some good words|some bad words/)
})

test('verify asks the policies of the network, and says which hold on some nodes only', async () => {
  const home = temporaryFolder()
  const cwd = temporaryFolder()
  const folders = { keysFolder: join(home, 'keys'), rosterFolder: join(home, 'roster') }
  const network = await foundNetwork({ ...folders, name: 'laptop' })
  await warren(['pack', makeApp()], { cwd, home })
  const policy = { packages: ['hello'], labels: '', keys: [], threshold: 2, minVersion: null }
  await setPolicy(network, { ...policy, name: 'prod', labels: 'tier=prod' })
  const some = await warren(['verify', 'hello-1.0.0.tar.gz'], { cwd, home })
  expect(some.exitCode).toBe(0)
  expect(some.stderr).toContain('not for every node: the policy "prod" asks for 2 signatures')
  await setPolicy(network, { ...policy, name: 'all' })
  const all = await warren(['verify', 'hello-1.0.0.tar.gz', '--json'], { cwd, home })
  expect(all.json.error).toMatchObject({ code: 'policy_refused', details: { policy: 'all' } })
  await removePolicy(network, 'all')
  await setPolicy(network, { ...policy, name: 'new', threshold: 1, minVersion: '2.0.0' })
  const old = await warren(['verify', 'hello-1.0.0.tar.gz', '--json'], { cwd, home })
  expect(old.json.error.code).toBe('version_too_old')
})

test('the home’s config says where its keys are', async () => {
  const home = temporaryFolder()
  const cwd = temporaryFolder()
  writeFileSync(join(home, 'config.yaml'), 'version: 1\nstorage:\n  keys_dir: secrets\n')
  const { keyId } = await createSigner(join(home, 'secrets', 'signing.key'))
  expect((await warren(['pack', makeApp(), '--json'], { cwd, home })).json.signed_by).toBe(keyId)
})
