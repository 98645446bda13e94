import { join } from 'node:path'
import { pathExists, writeFileAtomic } from '../../base/files.ts'
import { nameOfMachine } from '../../base/machine-name.ts'
import { defineCommand, list, text } from '../../command/index.ts'
import { writeCommentedConfig } from '../../config/index.ts'
import { fingerprintOf, foldersOf, foundNetwork } from '../../identity/index.ts'
import { daemonErrors } from '../errors.ts'

export const initCommand = defineCommand({
  name: 'init',
  summary: 'Make a network and its first node, on this machine',
  description:
    'Makes the keys of this node, a root key, the network key, the roster and a commented config.yaml in the home, and\nprints what it made. The recovery phrase of the root key is shown once and kept nowhere: write it down. Nothing that\nexists is ever overwritten.',
  options: {
    name: text({ value: 'NAME', description: "name of this node (default: the machine's)" }),
    label: list({ value: 'KEY=VALUE', description: 'label of this node; may repeat' }),
  },
  examples: [
    { does: 'make a network with this machine as its first node', words: 'init' },
    { does: 'with a name and a label', words: 'init --name laptop --label site=home' },
  ],
  async run({ options, context }) {
    const { home } = context
    const configPath = join(home, 'config.yaml')
    if (await pathExists(configPath)) {
      throw daemonErrors.home_in_use(`${configPath} is there already: this home is in use`, {
        hint: 'Make the network in another home: warren --home FOLDER init',
      })
    }
    const name = options.name ?? nameOfMachine()
    const network = await foundNetwork({
      ...foldersOf(home),
      name,
      labels: parseLabels(options.label),
    })
    const { sections } = await import('../sections.ts')
    await writeFileAtomic(configPath, await writeCommentedConfig(sections))
    const made = [...network.made, { what: 'configuration', path: configPath }]
    return {
      json: { name, id: network.nodeId, network: network.networkId, recovery_phrase: network.recoveryPhrase, made },
      human: describe({ ...network, name, made }, context.style.bold),
    }
  },
})

interface Made {
  readonly name: string
  readonly nodeId: string
  readonly networkId: string
  readonly signingKeyId: string
  readonly recoveryPhrase: string
  readonly made: readonly { readonly what: string; readonly path: string }[]
}

function describe(
  { name, nodeId, networkId, signingKeyId, recoveryPhrase, made }: Made,
  bold: (text: string) => string,
): string {
  const width = Math.max(...made.map(({ what }) => what.length))
  return [
    `network    ${networkId}`,
    `node       ${name}  ${nodeId}  admin`,
    `signs      packages with ${fingerprintOf(signingKeyId)}`,
    '',
    ...made.map(({ what, path }) => `  ${what.padEnd(width)}  ${path}`),
    '',
    'Recovery phrase. Write it down: it is shown this once and kept nowhere. It takes the network',
    'back when its admins are lost or stolen (warren trust recover).',
    '',
    `  ${bold(recoveryPhrase)}`,
    '',
    'Next: warren daemon start',
  ].join('\n')
}

function parseLabels(labels: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    labels.map((label) => {
      const found = /^([^=\s]+)=(.*)$/s.exec(label)
      if (found === null)
        throw daemonErrors.label_invalid(`"${label}" is not a label`, {
          hint: 'A label is KEY=VALUE, such as site=home.',
        })
      return [found[1] as string, found[2] as string]
    }),
  )
}
