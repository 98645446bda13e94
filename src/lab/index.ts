/**
 * lab: a fleet of real nodes on one machine, for trying and testing, and the demo that shows the whole of Warren on it.
 *
 * Every node of a lab is an ordinary daemon with a home of its own, joined by the same statements and keys as any
 * network; there is no trust that only a lab has. The lab drives the program from outside, as a person would. It
 * listens on loopback only, needs no root, and is one folder that `lab down` deletes.
 *
 * ```ts
 * const nodes = await upLab({ home, run: { program, env, signal } }, 3, () => undefined)
 * ```
 */
export { runDemo, stepText } from './demo.ts'
export { downLab, labStatus, MAX_LAB_NODES, upLab } from './lab.ts'
