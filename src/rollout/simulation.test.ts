import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OUTCOMES, type Outcome } from './evidence.ts'
import { type TestNode, testDocument, testNodes } from './fixtures/nodes.ts'
import { nextStep, patienceMs, type RolloutView } from './state.ts'

const nodes = testNodes(9)

/** What a node will do with the version; a liar says what it likes. */
type Nature = 'good' | 'bad' | 'silent' | 'liar'

interface Scenario {
  sizes: number[]
  natures: Nature[]
  maxUnavailable: number
  failureBudget: number
  lies: Outcome[]
  /** Which node acts or which message arrives next. */
  choices: number[]
  /** Nodes of the other side of a partition that lasts for the first part of the run. */
  away: boolean[]
  halfway: number
  haltAt: number | undefined
  drop: number[]
}

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 3, maxLength: 9 }),
  natures: fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constant<Nature>('good') },
      { weight: 3, arbitrary: fc.constant<Nature>('bad') },
      { weight: 1, arbitrary: fc.constant<Nature>('silent') },
      { weight: 1, arbitrary: fc.constant<Nature>('liar') },
    ),
    { minLength: nodes.length, maxLength: nodes.length },
  ),
  maxUnavailable: fc.integer({ min: 0, max: 2 }),
  failureBudget: fc.integer({ min: 1, max: 3 }),
  lies: fc.array(fc.constantFrom(...OUTCOMES), { minLength: 1, maxLength: 4 }),
  choices: fc.array(fc.nat(), { minLength: 50, maxLength: 300 }),
  away: fc.array(fc.boolean(), { minLength: nodes.length, maxLength: nodes.length }),
  halfway: fc.nat(200),
  haltAt: fc.option(fc.nat(150), { nil: undefined, freq: 4 }),
  drop: fc.array(fc.nat(300), { maxLength: 30 }),
})

interface SimNode {
  readonly index: number
  readonly known: Map<string, Outcome>
  halted: boolean
  begun: boolean
  started: boolean
  quietMs: number
}

const severity = (outcome: Outcome): number => OUTCOMES.indexOf(outcome)

/** A fleet in which everything that the network may do to messages is done, in an order given by the scenario. */
class Simulation {
  readonly scenario: Scenario
  readonly document
  readonly fleet: SimNode[]
  readonly startedAfterHalt: number[] = []
  messages: { to: number; from: number; node: string; outcome: Outcome | 'halt' }[] = []
  step = 0

  constructor(scenario: Scenario) {
    this.scenario = scenario
    const waves: TestNode[][] = []
    let left = nodes
    for (const size of scenario.sizes) {
      if (left.length === 0) break
      waves.push(left.slice(0, size))
      left = left.slice(size)
    }
    if (left.length > 0) waves.push(left)
    this.document = testDocument(waves, scenario)
    this.fleet = nodes.map((_, index) => ({
      index,
      known: new Map(),
      halted: false,
      begun: false,
      started: false,
      quietMs: 0,
    }))
  }

  nature = (index: number): Nature => this.scenario.natures[index] as Nature
  id = (index: number): string => (nodes[index] as TestNode).id

  view(node: SimNode): RolloutView {
    return {
      document: this.document,
      self: this.id(node.index),
      outcomes: node.known,
      halts: node.halted ? [{ revert: false }] : [],
      conflicting: false,
      superseded: false,
      begun: node.begun,
      nowMs: this.document.createdMs,
      quietMs: node.quietMs,
    }
  }

  /** Runs the choices, then heals everything and runs until nothing changes. */
  run(): void {
    for (const choice of this.scenario.choices) {
      this.step++
      if (this.step === this.scenario.haltAt) this.say(choice % nodes.length, 'halt')
      const options = this.messages.length + nodes.length
      const pick = choice % options
      if (pick < nodes.length) this.act(this.fleet[pick] as SimNode, choice)
      else this.deliver(pick - nodes.length)
    }
    this.settle()
  }

  act(node: SimNode, choice: number): void {
    const nature = this.nature(node.index)
    if (nature === 'silent') return
    if (nature === 'liar') {
      const lie = this.scenario.lies[choice % this.scenario.lies.length] as Outcome
      this.say(node.index, lie)
      return
    }
    if (choice % 7 === 0) node.quietMs += patienceMs(this.document) / 2
    const next = nextStep(this.view(node))
    if (next.kind === 'start' && !node.begun) {
      node.begun = true
      node.started = true
      if (node.halted) this.startedAfterHalt.push(node.index)
      // The turn takes its time: what comes of it is said at a later choice.
      return
    }
    if (next.kind === 'start') this.say(node.index, nature === 'good' ? 'healthy' : 'failed')
    // Killed in the turn and stopped meanwhile: the node looks what runs.
    if (next.kind === 'refuse') this.say(node.index, node.begun && nature === 'good' ? 'healthy' : 'refused')
    if (next.kind === 'revert') this.say(node.index, 'reverted')
  }

  say(from: number, outcome: Outcome | 'halt'): void {
    const self = this.fleet[from] as SimNode
    this.take(self, this.id(from), outcome)
    for (const other of this.fleet) {
      if (other !== self) this.messages.push({ to: other.index, from, node: this.id(from), outcome })
    }
  }

  take(node: SimNode, about: string, outcome: Outcome | 'halt'): void {
    if (outcome === 'halt') {
      node.halted = true
      return
    }
    const held = node.known.get(about)
    if (held !== undefined && severity(outcome) <= severity(held)) return
    node.known.set(about, outcome)
    node.quietMs = 0
  }

  deliver(index: number): void {
    const message = this.messages[index] as (typeof this.messages)[number]
    const { away, halfway, drop } = this.scenario
    if (this.step < halfway && away[message.to] !== away[message.from]) return
    // Every third message stays, to come again: duplicates.
    if (this.step % 3 !== 0) this.messages.splice(index, 1)
    if (drop.includes(this.step)) return
    this.take(this.fleet[message.to] as SimNode, message.node, message.outcome)
  }

  /** The exchange: everyone hears everything, then acts, until nobody has anything to do. */
  settle(): void {
    for (let round = 0; round < 60; round++) {
      for (const node of this.fleet) {
        for (const other of this.fleet) {
          for (const [about, outcome] of other.known) this.take(node, about, outcome)
          if (other.halted) node.halted = true
        }
      }
      for (const node of this.fleet) if (this.nature(node.index) !== 'liar') this.act(node, 1)
      if (round > 40) for (const node of this.fleet) node.quietMs += patienceMs(this.document)
    }
  }
}

test('never more than one wave beyond what may be missing, whatever the network and the liars do', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const simulation = new Simulation(scenario)
      simulation.run()
      const { document, fleet } = simulation
      const wave = (index: number): number => document.waves.findIndex((ids) => ids.includes(simulation.id(index)))
      const last = Math.max(-1, ...fleet.filter((node) => node.started).map((node) => wave(node.index)))
      const badBefore = fleet.filter(
        (node) => ['bad', 'silent'].includes(simulation.nature(node.index)) && wave(node.index) < last,
      )
      // All waves but the newest hold no more honest nodes without health than the document allows.
      expect(badBefore.length).toBeLessThanOrEqual(document.maxUnavailable)
    }),
    { numRuns: 1500 },
  )
})

test('honest nodes that hear everything agree, and nobody is left between two states', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const simulation = new Simulation(scenario)
      simulation.run()
      const honest = simulation.fleet.filter(({ index }) => simulation.nature(index) !== 'liar')
      const first = honest[0]
      if (first === undefined) return
      for (const node of honest) {
        expect(Object.fromEntries(node.known)).toEqual(Object.fromEntries(first.known))
        if (simulation.nature(node.index) === 'silent') continue
        const next = nextStep(simulation.view(node))
        expect(next.kind).toBe('none')
      }
      const failed = [...first.known.values()].filter((outcome) => outcome === 'failed').length
      if (failed < simulation.document.failureBudget) return
      for (const node of honest) expect(node.known.get(simulation.id(node.index))).not.toBe('healthy')
    }),
    { numRuns: 800 },
  )
})

test('nobody who has heard a halt starts', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const simulation = new Simulation(scenario)
      simulation.run()
      expect(simulation.startedAfterHalt).toEqual([])
    }),
    { numRuns: 500 },
  )
})

test('one liar cannot stop a good version where the budget allows a failure, nor make it go back', () => {
  const liars = fc.record({ liar: fc.nat(nodes.length - 1), scenario: scenarios })
  fc.assert(
    fc.property(liars, ({ liar, scenario }) => {
      const natures = nodes.map((_, index): Nature => (index === liar ? 'liar' : 'good'))
      const allowed = { ...scenario, natures, maxUnavailable: 1, failureBudget: 2, haltAt: undefined }
      // Without a pause long enough to be taken for silence.
      const choices = scenario.choices.map((choice) => (choice % 7 === 0 ? choice + 1 : choice))
      const simulation = new Simulation({ ...allowed, choices })
      simulation.run()
      for (const node of simulation.fleet) {
        if (node.index !== liar) expect(node.known.get(simulation.id(node.index))).toBe('healthy')
      }
    }),
    { numRuns: 500 },
  )
})
