import { formatDuration } from '../../base/durations.ts'
import { defineCommand, integer } from '../../command/index.ts'
import { labErrors } from '../errors.ts'
import { MAX_LAB_NODES, upLab } from '../index.ts'

export const upCommand = defineCommand({
  name: 'lab up',
  summary: 'Bring up a fleet of real nodes on this machine',
  description:
    'Each node is a daemon with a home of its own under lab/ in your home, listening on loopback only. A lab that is\nthere already is started again as it was. Needs no root.',
  options: { nodes: integer({ value: 'N', description: 'how many nodes (default 3)' }) },
  examples: [
    { does: 'three nodes, burrow-1 to burrow-3', words: 'lab up' },
    { does: 'a bigger one', words: 'lab up --nodes 7' },
  ],
  async run({ options, context }) {
    const { nodes: count } = options
    if (count !== undefined && (count < 1 || count > MAX_LAB_NODES)) {
      throw labErrors.lab_nodes_differ(`a lab has 1 to ${MAX_LAB_NODES} nodes, not ${count}`, {
        hint: 'For example: warren lab up --nodes 3',
      })
    }
    const startedMs = performance.now()
    const lab = { home: context.home, run: { program: context.program, env: context.env, signal: context.signal } }
    const nodes = await upLab(lab, count, (step) => context.progress.show([`  lab      ${step}`]))
    context.progress.clear()
    context.say(`lab up: ${nodes.length} nodes joined in ${formatDuration(performance.now() - startedMs)}`)
    return {
      json: { nodes: nodes.map(({ name, id, home, socket }) => ({ name, id, home, socket })) },
      human: {
        columns: [{ title: 'NAME' }, { title: 'HOME' }],
        rows: nodes.map(({ name, home }) => [name, home]),
      },
    }
  },
})
