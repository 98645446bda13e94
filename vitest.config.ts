import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './scripts/longest-first.ts'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Tests clean up after themselves, so files share a process: 300 tests take 1 s instead of 10 (docs/decisions/0007).
    isolate: false,
    // The longest tests wait for processes that they have started: as many workers as cores would leave some idle.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // Processes that tests start from the sources read them compiled from the second time on.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compiled') },
    // Only what hangs gets there: a machine may be ten times as busy, and a test that passes costs nothing by a long limit.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 30_000, interval: 20 } },
    reporters: ['default'],
  },
})
