import { join } from 'node:path'
import { connectLocal } from '../../api/index.ts'
import { toWarrenError, WarrenError } from '../../base/errors.ts'
import { pathExists, writeFileAtomic } from '../../base/files.ts'
import { silentLogger } from '../../base/log.ts'
import { nameOfMachine } from '../../base/machine-name.ts'
import { sleep } from '../../base/wait.ts'
import {
  type AnyCommand,
  type CommandContext,
  defineCommand,
  flag,
  list,
  printable,
  text,
} from '../../command/index.ts'
import { type Section, writeCommentedConfig } from '../../config/index.ts'
import { decodeJoinCode, foldersOf } from '../../identity/index.ts'
import { memberContract, type NodeView } from '../contract.ts'
import { memberErrors } from '../errors.ts'
import { shortId } from './words.ts'

/** What joining needs of the program around it. */
export interface JoinInit {
  /** Every section of the config, for the file that is written. */
  readonly sections: () => Promise<readonly Section[]>
  /** Starts the daemon of the context's home in the background, and gives its pid once it answers. */
  readonly startDaemon: (context: CommandContext) => Promise<number>
}

/** The daemon has answered; it has to meet one of the admins that have just let it in. */
const MEET_TIMEOUT_MS = 10_000
const POLL_MS = 100

/** `warren join CODE` */
export function createJoinCommand(init: JoinInit): AnyCommand {
  return defineCommand({
    name: 'node join',
    aliases: ['join'],
    summary: 'Join a network by a code that one of its admins made',
    description:
      'Makes the keys of this node, asks an admin of the network to be let in, and starts the daemon. No terminal is needed. With - the code is read from standard input; where none is given, from the variable WARREN_INVITE. Where it fails, nothing is left behind.',
    arguments: [{ name: 'code', description: 'the code that warren invite has shown, or -', optional: true }],
    options: {
      name: text({
        value: 'NAME',
        description: "name of this node, where the invite gives none (default: the machine's)",
      }),
      at: list({
        value: 'ADDRESS',
        description: 'ask the admins here before the addresses of the code, as through a tunnel; may repeat',
      }),
      noStart: flag({ description: 'do not start the daemon' }),
    },
    examples: [
      { does: 'with a code, on the new machine', words: 'join WRN-…' },
      { does: 'without it on the command line', words: 'join -' },
      { does: 'under a name', words: 'join - --name kitchen' },
      {
        does: 'through a tunnel to an admin that has no address of its own',
        words: 'join - --at /ip4/127.0.0.1/tcp/9019',
      },
    ],
    run: ({ args, options, context }) => runJoin(init, { code: args.code, ...options, context }),
  })
}

interface JoinInput {
  readonly code: string | undefined
  readonly name: string | undefined
  readonly at: readonly string[]
  readonly noStart: boolean
  readonly context: CommandContext
}

async function runJoin(init: JoinInit, input: JoinInput) {
  const { context } = input
  const configPath = join(context.home, 'config.yaml')
  const code = decodeJoinCode(await readCode(input))
  if (await pathExists(configPath)) {
    throw memberErrors.home_taken(`${configPath} is there already: this home is in use`, {
      hint: 'Join with another home: warren --home FOLDER join CODE',
    })
  }
  const { joinNetwork } = await import('../index.ts')
  const { keysFolder, rosterFolder } = foldersOf(context.home)
  const joined = await joinNetwork({
    code,
    keysFolder,
    rosterFolder,
    name: input.name ?? nameOfMachine(),
    at: input.at,
    log: silentLogger,
    signal: context.signal,
    onStep: ({ asking }) => context.progress.show([`asking ${printable(asking)}`]),
  })
  // A relay among them can be the first peer, where no admin can be dialled.
  const peers = [...joined.admins, ...joined.relays].flatMap(({ addresses }) => addresses)
  await writeFileAtomic(configPath, withPeers(writeCommentedConfig(await init.sections()), peers))
  const { name, role, nodeId: id, networkId: network } = joined
  const said = `joined as ${printable(name)} (${role})`
  if (input.noStart) {
    const human = `${said}, network ${shortId(network)}\nNext: warren daemon start`
    return { json: { name, role, id, network, pid: null, nodes: null, direct: null, relayed: null }, human }
  }
  // The daemon lives on: its environment must not hold the code.
  const { WARREN_INVITE: _code, ...env } = context.env
  context.progress.show(['starting the daemon'])
  const pid = await init.startDaemon({ ...context, env }).catch((thrown: unknown) => {
    const { code, status, message, hint } = toWarrenError(thrown)
    throw new WarrenError(code, status, `${said}, but its daemon did not start: ${message}`, {
      cause: thrown,
      hint: `${hint === undefined ? '' : `${hint}\n`}The code was used, and is not needed again. Then: warren daemon start`,
    })
  })
  context.progress.show(['meeting the network'])
  const met = await meet(context)
  return {
    json: { name, role, id, network, pid, ...met },
    human: `${said}: ${describeMet(met)}`,
  }
}

async function readCode({ code, context }: JoinInput): Promise<string> {
  if (code === '-') return await context.readSecret('Join code')
  if (code !== undefined) {
    // Other users of the machine see the command line for as long as this runs.
    process.title = 'warren join'
    return code
  }
  const fromEnv = context.env.WARREN_INVITE
  if (fromEnv !== undefined && fromEnv !== '') return fromEnv
  throw memberErrors.invite_missing('no join code was given', {
    hint: 'Get one from an admin (warren invite), then: warren join CODE    or from standard input: warren join -',
  })
}

/** The file of a new node, with the addresses to connect to at each start. */
export function withPeers(config: string, peers: readonly string[]): string {
  if (peers.length === 0) return config
  const lines = ['  peers:', ...peers.map((address) => `    - ${JSON.stringify(address)}`)].join('\n')
  // A function, because an address with a $ would be read as a reference.
  return config.replace(/^ {2}# peers: .*$/m, () => lines)
}

interface Met {
  readonly nodes: number
  readonly direct: number
  readonly relayed: number
}

/** Who is there, once one of them is connected, or after a while all the same. */
async function meet({ home, env, signal }: CommandContext): Promise<Met> {
  const deadline = performance.now() + MEET_TIMEOUT_MS
  const client = await connectLocal({ home, env })
  try {
    for (;;) {
      const met = countNodes(await client.call(memberContract.list, {}, { signal }))
      if (met.direct + met.relayed > 0 || performance.now() > deadline) return met
      await sleep(POLL_MS, { signal })
    }
  } finally {
    client.close()
  }
}

function countNodes(nodes: readonly NodeView[]): Met {
  const up = nodes.filter(({ state }) => state === 'up')
  const relayed = up.filter((node) => node.relayed === true).length
  return { nodes: nodes.length, direct: up.length - relayed, relayed }
}

function describeMet({ nodes, direct, relayed }: Met): string {
  if (direct + relayed === 0) return 'no other node is connected yet; look again: warren nodes'
  const paths = [...(direct > 0 ? [`direct to ${direct}`] : []), ...(relayed > 0 ? [`relayed to ${relayed}`] : [])]
  return [`${nodes} nodes`, ...paths].join(', ')
}
