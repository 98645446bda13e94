import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Tests clean up after themselves, so files share a process: 300 tests take 1 s instead of 10 (docs/decisions/0007).
    isolate: false,
    // The longest tests wait for processes that they have started: one worker would leave a core idle.
    maxWorkers: 2,
    // Longer ones, which run many processes, name their own limit.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ['default'],
  },
})
