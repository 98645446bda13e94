/**
 * Builds the program: `node scripts/build.ts` makes dist/HASH/ from the sources and prints HASH; `--find` only looks.
 *
 * A build holds all that it runs on (main.js with its chunks, and Node itself as a hard link), so that a daemon keeps
 * running from it while packages are replaced. HASH is that of what goes in, so nothing is built twice and a build is
 * never changed. dist/current names the one of the present sources; its time is taken before they are read, and ./warren
 * compares it with theirs.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { link, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'esbuild'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const DIST = join(ROOT, 'dist')

/** Builds beside the current one that stay, for a quick way back; those that a process runs from stay in any case. */
const KEPT_BUILDS = 3
/** File systems stamp files from a clock that lags by up to a tick, 10 ms at the slowest. */
const CLOCK_TICK_MS = 10
/** Packages with native files, which stay in node_modules. */
const EXTERNAL: string[] = []

/** Compiled code is kept when a process ends; for one that runs until it is killed, also once it has started. */
const MAIN = `const { enableCompileCache, flushCompileCache } = process.getBuiltinModule('node:module')
enableCompileCache(import.meta.dirname + '/compiled')
setTimeout(flushCompileCache, 10_000).unref()
await import('./program.js')
`

/**
 * `import … from 'node:fs'` reads all that the module exports, among it what Node itself loads only when it is asked for
 * (streams, readline, WebSocket with the whole of fetch: 5 to 30 ms each); asked for as an object it does not.
 */
const LAZY_BUILTINS: Plugin = {
  name: 'lazy-builtins',
  setup(build) {
    build.onResolve({ filter: /^(node:)?[a-z_0-9]+(\/[a-z_0-9]+)?$/ }, ({ path, kind }) => {
      if (!isBuiltin(path)) return undefined
      const name = path.replace('node:', '')
      return { path: name, namespace: kind === 'require-call' ? 'required' : 'imported', sideEffects: false }
    })
    build.onLoad({ filter: /.*/, namespace: 'required' }, ({ path }) => ({
      contents: `module.exports = ${objectOf(path)}`,
    }))
    build.onLoad({ filter: /.*/, namespace: 'imported' }, ({ path }) => ({
      contents: LOADED_AT_USE.has(path) ? lazyModule(path) : usedExports(path),
    }))
  },
}

/** Those that Node has not loaded when it starts, and that files name which may never use them. All are plain objects. */
const LOADED_AT_USE = new Set([
  'child_process',
  'crypto',
  'dgram',
  'dns',
  'dns/promises',
  'fs/promises',
  'http',
  'http2',
  'https',
  'net',
  'readline',
  'sqlite',
  'stream/promises',
  'timers/promises',
  'tls',
  'worker_threads',
  'zlib',
])

const objectOf = (name: string): string => `process.getBuiltinModule('node:${name}')`

const exportsOf = (name: string): string[] => Object.keys(process.getBuiltinModule(`node:${name}`) as object)

/** A module whose exports each load Node's module of this name when they are first read. */
function lazyModule(name: string): string {
  const getters = exportsOf(name).map((key) => `  get ${key}() { return load().${key} },`)
  return [`const load = () => ${objectOf(name)}`, 'module.exports = {', ...getters, '}'].join('\n')
}

/** A module that reads from Node's the exports that are used: esbuild leaves out the others, since they are called pure. */
function usedExports(name: string): string {
  const reads = exportsOf(name)
    .filter((key) => key !== 'default')
    .map((key, at) => `const v${at} = /* @__PURE__ */ (() => node.${key})()\nexport { v${at} as ${key} }`)
  return [`const node = /* @__PURE__ */ ${objectOf(name)}`, 'export { node as default }', ...reads].join('\n')
}

/**
 * zod's name `z` holds every locale and every schema; imported as a namespace, esbuild keeps what is used: 195 KB of
 * 710, read by every command.
 */
const SHAKEN_ZOD: Plugin = {
  name: 'shaken-zod',
  setup(build) {
    build.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace("import { z } from 'zod'", "import * as z from 'zod'"),
      loader: 'ts',
    }))
  },
}

/** Makes the build of the present sources, where it is missing, and gives its folder. Safe to run many times at once. */
export async function buildProgram(): Promise<string> {
  const startedMs = Date.now()
  const folder = join(DIST, await hashSources())
  if (!existsSync(join(folder, 'main.js'))) {
    const temporary = join(DIST, `.${randomBytes(6).toString('hex')}.tmp`)
    try {
      await bundle(temporary)
      await rename(temporary, folder).catch(async () => {
        // Another process was faster, and the two builds are the same; or a part of this one was deleted by hand.
        if (existsSync(join(folder, 'main.js'))) return
        await rm(folder, { recursive: true, force: true })
        await rename(temporary, folder)
      })
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }
  await linkNode(folder)
  await writeCurrent(folder, startedMs - CLOCK_TICK_MS)
  await removeOldBuilds(folder)
  return folder
}

/** Hash of all that a build is made of: sources without tests, packages by the lock file, and this script. */
async function hashSources(): Promise<string> {
  const hash = createHash('sha256')
  const sources = (await readdir(join(ROOT, 'src'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  const others = ['package.json', 'package-lock.json', 'scripts/build.ts'].map((name) => join(ROOT, name))
  for (const path of [...sources, ...others]) {
    const content = await readFile(path)
    hash.update(`${path.slice(ROOT.length)}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex').slice(0, 16)
}

async function bundle(folder: string): Promise<void> {
  const startedMs = performance.now()
  const { build } = await import('esbuild')
  await build({
    absWorkingDir: ROOT,
    entryPoints: { program: 'src/cli/main.ts' },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minifySyntax: true,
    sourcemap: true,
    sourcesContent: false,
    external: EXTERNAL,
    plugins: [LAZY_BUILTINS, SHAKEN_ZOD],
    chunkNames: 'chunks/[name]-[hash]',
    tsconfigRaw: {},
    logLevel: 'warning',
  })
  await writeFile(join(folder, 'main.js'), MAIN)
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  process.stderr.write(`  building the program … ${seconds} s\n`)
}

/** Puts this Node beside the program: the same file, or a symbolic link where that cannot be. */
async function linkNode(folder: string): Promise<void> {
  const path = join(folder, 'node')
  if (existsSync(path)) return
  await rm(path, { force: true })
  const node = realpathSync(process.execPath)
  await link(node, path)
    .catch(() => symlink(node, path))
    .catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
}

async function writeCurrent(folder: string, timeMs: number): Promise<void> {
  const temporary = join(DIST, `.${randomBytes(6).toString('hex')}.tmp`)
  await writeFile(temporary, `${folder.slice(DIST.length + 1)}\n`)
  await utimes(temporary, timeMs / 1000, timeMs / 1000)
  await rename(temporary, join(DIST, 'current'))
}

async function removeOldBuilds(current: string): Promise<void> {
  const names = (await readdir(DIST)).filter((name) => /^[0-9a-f]{16}$/.test(name))
  if (names.length <= KEPT_BUILDS + 1) return
  const builds = await Promise.all(
    names.map(async (name) => {
      const folder = join(DIST, name)
      return { folder, timeMs: (await stat(folder).catch(() => undefined))?.mtimeMs ?? 0 }
    }),
  )
  const inUse = foldersInUse()
  const old = builds
    .filter(({ folder }) => folder !== current)
    .sort((a, b) => b.timeMs - a.timeMs)
    .slice(KEPT_BUILDS)
  for (const { folder } of old) {
    if (!inUse.has(folder)) await rm(folder, { recursive: true, force: true })
  }
}

/** Folders of the programs that run on this machine, as far as this user may see them. */
function foldersInUse(): Set<string> {
  const folders = new Set<string>()
  for (const pid of existsSync('/proc/self') ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : []) {
    try {
      folders.add(dirname(readlinkSync(`/proc/${pid}/exe`)))
    } catch {
      // It ended, or belongs to someone else.
    }
  }
  return folders
}

async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--find')) {
    const name = await hashSources()
    if (!existsSync(join(DIST, name, 'main.js')) || !existsSync(join(DIST, name, 'node'))) process.exit(1)
    process.stdout.write(`${name}\n`)
    return
  }
  await mkdir(DIST, { recursive: true })
  process.stdout.write(`${(await buildProgram()).slice(DIST.length + 1)}\n`)
}

if (import.meta.main) await main(process.argv.slice(2))
