import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Clone, currentBuild, makeClone, pathWithout } from './clone.ts'

const BUILDING = 'building the program'

test('the first call builds and runs the program, with its words, folder and Node 24', async () => {
  await using clone = await makeClone()
  const { code, stdout, stderr } = await clone.run(['a b', '--json', '', '*'])
  expect(stderr).toContain(BUILDING)
  expect(code).toBe(0)
  const seen = JSON.parse(stdout)
  const build = join(clone.root, 'dist', await currentBuild(clone))
  expect(seen).toMatchObject({ words: ['a b', '--json', '', '*'], cwd: clone.parent })
  expect(seen).toMatchObject({ exec: join(build, 'node'), main: join(build, 'main.js') })
  expect(Number.parseInt(seen.node.slice(1), 10)).toBeGreaterThanOrEqual(24)
})

test('the second call says and builds nothing', async () => {
  await using clone = await makeClone()
  await clone.run()
  const first = await stat(join(clone.root, 'dist/current'))
  const { code, stderr } = await clone.run()
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect((await stat(join(clone.root, 'dist/current'))).ino).toBe(first.ino)
})

test('it is found through symbolic links, absolute and relative', async () => {
  await using clone = await makeClone()
  await mkdir(join(clone.parent, 'links'))
  await symlink(clone.launcher, join(clone.parent, 'links/absolute'))
  await symlink('absolute', join(clone.parent, 'links/relative'))
  const { stdout } = await clone.run(['x'], { program: join(clone.parent, 'links/relative') })
  expect(JSON.parse(stdout).main).toContain(join(clone.root, 'dist'))
  const byPath = await clone.run(['relative', 'y'], {
    program: '/usr/bin/env',
    env: { ...process.env, PATH: `${join(clone.parent, 'links')}:${process.env.PATH}` },
  })
  expect(JSON.parse(byPath.stdout).words).toEqual(['y'])
})

const CHANGES: [string, (clone: Clone) => Promise<void>][] = [
  ['changed', (clone) => clone.write('src/cli/main.ts', 'process.stdout.write("changed\\n")\n')],
  ['added', (clone) => clone.write('src/base/more.ts', 'export {}\n')],
  ['removed', (clone) => rm(join(clone.root, 'src/base/words.ts'))],
  [
    'replaced by one with an older time',
    async (clone) => {
      await clone.write('src/cli/main.ts', 'process.stdout.write("older\\n")\n')
      await utimes(join(clone.root, 'src/cli/main.ts'), 1_500_000_000, 1_500_000_000)
      await utimes(join(clone.root, 'src/cli'), 1_500_000_000, 1_500_000_000)
    },
  ],
]
test.each(CHANGES)('a source that was %s is built in', async (_how, change) => {
  await using clone = await makeClone()
  await clone.run()
  const before = await currentBuild(clone)
  await change(clone)
  const { code, stderr } = await clone.run()
  expect({ code, built: stderr.includes(BUILDING) }).toEqual({ code: 0, built: true })
  expect(await currentBuild(clone)).not.toBe(before)
})

test('what does not change the program does not build it again, and is looked at once', async () => {
  await using clone = await makeClone()
  await clone.run()
  const before = await currentBuild(clone)
  await clone.write('src/cli/main.test.ts', 'a test')
  await utimes(join(clone.root, 'src/base/words.ts'), new Date(), new Date())
  expect((await clone.run()).stderr).toBe('')
  expect(await currentBuild(clone)).toBe(before)
  const looked = await stat(join(clone.root, 'dist/current'))
  await clone.run()
  expect((await stat(join(clone.root, 'dist/current'))).ino).toBe(looked.ino)
})

test('calls at the same time set up once and all run', async () => {
  await using clone = await makeClone()
  const outcomes = await Promise.all([1, 2, 3, 4].map((n) => clone.run([String(n)])))
  expect(outcomes.map(({ code, stdout }) => [code, JSON.parse(stdout).words[0]])).toEqual([
    [0, '1'],
    [0, '2'],
    [0, '3'],
    [0, '4'],
  ])
  expect(outcomes.filter(({ stderr }) => stderr.includes(BUILDING))).toHaveLength(1)
  expect(await clone.builds()).toHaveLength(1)
  expect(
    (await readdir(join(clone.root, 'dist'))).filter((name) => name.includes('lock') || name.includes('tmp')),
  ).toEqual([])
})

test('a build that did not finish is made again', async () => {
  await using clone = await makeClone()
  await clone.run()
  const build = join(clone.root, 'dist', await currentBuild(clone))
  await rm(join(build, 'main.js'))
  await rm(join(build, 'node'))
  const { code, stderr } = await clone.run()
  expect({ code, built: stderr.includes(BUILDING) }).toEqual({ code: 0, built: true })
})

test('a lock whose owner was killed, or whose pid is now another process, does not block', async () => {
  await using clone = await makeClone()
  const lock = join(clone.root, 'dist/setup.lock')
  const dead = spawn('true')
  await once(dead, 'exit')
  for (const owner of [`${dead.pid} 1`, `${process.pid} 1`]) {
    await mkdir(lock, { recursive: true })
    await writeFile(join(lock, 'owner'), `${owner}\n`)
    const { code, stderr } = await clone.run()
    expect({ code, waited: stderr.includes('waiting') }).toEqual({ code: 0, waited: false })
  }
})

test('a set-up waits for a live one', async () => {
  await using clone = await makeClone()
  const lock = join(clone.root, 'dist/setup.lock')
  const start = (await readFile(`/proc/${process.pid}/stat`, 'utf8')).replace(/.*\) /s, '').split(' ')[19]
  await mkdir(lock, { recursive: true })
  await writeFile(join(lock, 'owner'), `${process.pid} ${start}\n`)
  let done = false
  const { code, stderr } = await clone.run([], {
    onStart: (child) => {
      child.stderr?.once('data', () => {
        done = true
        void rm(lock, { recursive: true })
      })
    },
  })
  expect({ code, done }).toEqual({ code: 0, done: true })
  expect(stderr).toContain(`waiting for another set-up of this folder (process ${process.pid})`)
})

test('a source that does not compile is shown, and the last build stays', async () => {
  await using clone = await makeClone()
  await clone.run()
  const before = await currentBuild(clone)
  await clone.write('src/cli/main.ts', 'const = 1\n')
  const { code, stdout, stderr } = await clone.run()
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain('src/cli/main.ts:1:6')
  expect(await currentBuild(clone)).toBe(before)
})

test('old builds go, but not one that a process runs from', async () => {
  await using clone = await makeClone()
  await clone.write('src/cli/main.ts', 'process.stdout.write("up\\n"); setInterval(() => undefined, 1000)\n')
  let running = ''
  await clone.run([], {
    onStart: (child) => {
      child.stdout?.once('data', async () => {
        running = await currentBuild(clone)
        for (let n = 0; n < 5; n++) {
          await clone.write('src/cli/main.ts', `process.stdout.write("${n}\\n")\n`)
          await clone.run()
        }
        child.kill()
      })
    },
  })
  const builds = await clone.builds()
  expect(builds).toContain(running)
  expect(builds).toHaveLength(5)
})

test('a copy that cannot be written uses the build it came with, and else says what to do', async () => {
  await using clone = await makeClone()
  const asOther = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  await clone.run()
  await utimes(join(clone.root, 'src/base/words.ts'), new Date(), new Date())
  for (const path of ['', 'dist']) await chmod(join(clone.root, path), 0o555)
  const found = await clone.run(['x'], asOther)
  const { stdout } = found
  await chmod(join(clone.root, 'src'), 0o755)
  await clone.write('src/base/words.ts', 'export const words = 2\n')
  const missing = await clone.run(['x'], asOther)
  for (const path of ['', 'dist']) await chmod(join(clone.root, path), 0o755)
  expect(JSON.parse(stdout).words).toEqual(['x'])
  expect(missing.code).toBe(6)
  expect(missing.stderr).toMatch(/cannot be written, and holds no build of its sources\n.*Build it once as its owner/)
})

test('without npm it says so', async () => {
  await using clone = await makeClone({ packages: false })
  const PATH = await pathWithout(clone, ['npm'])
  const { code, stderr } = await clone.run([], { env: { PATH } })
  expect(code).toBe(6)
  expect(stderr).toMatch(/error {2}setup_failed {3}npm is not installed.*\n.*Install Node 20 or later with npm/)
})

test('without a network it says which registry does not answer, and leaves no lock', async () => {
  await using clone = await makeClone({ packages: false })
  const { code, stderr } = await clone.run([], {
    env: {
      PATH: process.env.PATH,
      HOME: clone.parent,
      npm_config_registry: 'http://127.0.0.1:9/',
      npm_config_cache: join(clone.parent, 'cache'),
      npm_config_fetch_retries: '0',
    },
  })
  expect(code).toBe(6)
  expect(stderr).toMatch(/getting Node 24 and \d+ packages from npm/)
  expect(stderr).toMatch(/error {2}setup_failed {3}http:\/\/127\.0\.0\.1:9\/ does not answer\n.*Connect this machine/)
  expect(await readdir(join(clone.root, 'dist'))).not.toContain('setup.lock')
})

test('on a system that npm has no Node for, a recent Node on PATH serves, and an old one is refused by name', async () => {
  await using clone = await makeClone()
  const PATH = await pathWithout(clone, ['node', 'uname'])
  const bin = join(clone.parent, 'bin')
  await writeFile(join(bin, 'uname'), '#!/bin/sh\n[ "$1" = -s ] && echo Darwin || echo riscv64\n', { mode: 0o755 })
  await writeFile(join(bin, 'node'), '#!/bin/sh\necho false\n', { mode: 0o755 })
  const refused = await clone.run([], { env: { PATH } })
  expect(refused.code).toBe(7)
  expect(refused.stderr).toMatch(
    /error {2}not_supported {3}npm has no Node 24 that runs on this machine \(Darwin riscv64\)/,
  )
  await rm(join(bin, 'node'))
  await symlink(process.execPath, join(bin, 'node'))
  expect((await clone.run(['x'], { env: { PATH } })).code).toBe(0)
})

test('a program that uses node:http does not load the fetch of Node with it', async () => {
  await using clone = await makeClone()
  await clone.write(
    'src/cli/main.ts',
    `import http, { request } from 'node:http'
import * as all from 'node:http'
const fetch = process.moduleLoadList.some((name) => name.includes('undici/undici'))
process.stdout.write(JSON.stringify({ same: http.request === request && all.request === request, fetch }))
`,
  )
  expect(JSON.parse((await clone.run()).stdout)).toEqual({ same: true, fetch: false })
})

/** An npm that stands for a slow line: it takes until it is stopped, and fails at once the next time. */
async function slowNpm(clone: Clone): Promise<{ env: NodeJS.ProcessEnv; pid: () => Promise<number> }> {
  const bin = join(clone.parent, 'slow')
  const file = join(clone.parent, 'npm-pid')
  await mkdir(bin)
  const script = `#!/bin/sh\n[ -e '${file}' ] && exit 1\necho $$ >'${file}'\nexec sleep 600\n`
  await writeFile(join(bin, 'npm'), script, { mode: 0o755 })
  const pid = async (): Promise<number> => {
    for (;;) {
      const text = await readFile(file, 'utf8').catch(() => '')
      if (text !== '') return Number(text)
      await delay(20)
    }
  }
  return { env: { ...process.env, PATH: `${bin}:${process.env.PATH}` }, pid }
}

test('stopped while it gets packages, it stops npm and leaves no lock', async () => {
  await using clone = await makeClone({ packages: false })
  const { env, pid } = await slowNpm(clone)
  const { code } = await clone.run([], { env, onStart: (child) => void pid().then(() => child.kill('SIGTERM')) })
  expect(code).toBe(143)
  const npm = await pid()
  expect(() => process.kill(npm, 0)).toThrow('ESRCH')
  expect(await readdir(join(clone.root, 'dist'))).not.toContain('setup.lock')
})

test('killed while it gets packages, the next call waits for the npm that it left, then starts over', async () => {
  await using clone = await makeClone({ packages: false })
  const { env, pid } = await slowNpm(clone)
  const recorded = async (): Promise<void> => {
    const npm = await pid()
    while (!(await readFile(join(clone.root, 'dist/setup.lock/child'), 'utf8').catch(() => ''))) await delay(20)
    expect(npm).toBeGreaterThan(0)
  }
  const killed = clone.run([], {
    env,
    detached: true,
    onStart: (child) => void recorded().then(() => child.kill('SIGKILL')),
  })
  expect((await killed).code).toBe(null)
  const next = await clone.run([], {
    env,
    onStart: (child) => {
      child.stderr?.once('data', async () => process.kill(await pid(), 'SIGKILL'))
    },
  })
  expect(next.stderr).toMatch(/waiting for another set-up[\s\S]*getting Node 24[\s\S]*npm ci failed/)
  expect(next.code).toBe(6)
})
