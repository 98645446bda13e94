/** Finds imports that the table does not allow. Works on a map of files, so that tests can plant some. */
import { posix } from 'node:path'
import { type Files, type Import, importsOf, isTest, packageOf } from './source.ts'
import { CONTRACT_READERS, DOOR, FEATURES, HEAVY, HOMES, LIGHT_ROOM, MAY_IMPORT, VOCABULARY, WIRING } from './table.ts'

/** `PATH: what is wrong`, for every import that breaks a rule; paths are relative to src/. */
export function borderComplaints(files: Files): string[] {
  const complaints: string[] = []
  for (const [path, text] of files) {
    for (const imported of importsOf(path, text)) {
      const complaint = complaintOf(path, imported)
      if (complaint !== undefined) complaints.push(`${path}: ${complaint}`)
    }
  }
  return complaints
}

/** `PATH reaches PACKAGE: a.ts > b.ts`, for every light room, and `entry`, that loads a heavy package at its start. */
export function loadComplaints(files: Files, entry: string): string[] {
  const starts = [...files.keys()].filter((path) => path === entry || (!isTest(path) && LIGHT_ROOM.test(roomOf(path))))
  return starts.flatMap((start) => {
    const found = findHeavy(files, start)
    return found === undefined ? [] : [`${start} reaches ${found.name}: ${found.chain.join(' > ')}`]
  })
}

const folderOf = (path: string): string => path.split('/')[0] as string
const roomOf = (path: string): string => path.slice(folderOf(path).length + 1)

function complaintOf(from: string, imported: Import): string | undefined {
  const { specifier } = imported
  const folder = folderOf(from)
  if (!(folder in MAY_IMPORT)) return `folder "${folder}" is not in the table`
  const name = packageOf(specifier)
  if (name !== undefined) {
    const home = HOMES.find(({ packages }) => packages.test(name))
    return home && home.folder !== folder ? `${name} lives only in ${home.folder}/` : undefined
  }
  if (!specifier.startsWith('.') || isTest(from)) return undefined
  const target = posix.join(posix.dirname(from), specifier)
  if (target === '../package.json') return undefined
  if (target.startsWith('../')) return `${specifier} is outside of src/`
  return folderOf(target) === folder ? undefined : crossing({ from, target, imported })
}

interface Crossing {
  from: string
  target: string
  imported: Import
}

function crossing({ from, target, imported }: Crossing): string | undefined {
  const [me, room, them, door] = [folderOf(from), roomOf(from), folderOf(target), roomOf(target)]
  const inCommands = room.startsWith('commands/')
  if (!(them in MAY_IMPORT)) return `folder "${them}" is not in the table`
  const isDoor = them === 'base' || DOOR.test(door) || (door === 'config.ts' && WIRING.includes(me))
  if (!isDoor) return `use a door of ${them}/, not ${door}`
  if (me === 'web') return door === 'contract.ts' ? undefined : `web sees contract.ts files only, not ${them}/${door}`
  if (door === 'contract.ts' && CONTRACT_READERS.includes(me)) return undefined
  if (door === 'commands/index.ts') return me === 'cli' ? undefined : `only cli lists commands, not ${me}`
  if (them === 'command') {
    const allowed = inCommands || me === 'lab' || me === 'cli'
    return allowed ? undefined : 'command is for commands/ rooms, lab and cli only'
  }
  if (WIRING.includes(them) && inCommands) {
    return imported.lazy || imported.typeOnly ? undefined : `${them} is reached by await import() only`
  }
  if (!MAY_IMPORT[me]?.includes(them)) return `${me} must not import ${them}`
  return roomRule({ me, room, them, door, imported })
}

interface RoomCrossing {
  me: string
  room: string
  them: string
  door: string
  imported: Import
}

function roomRule({ me, room, them, door, imported }: RoomCrossing): string | undefined {
  if (LIGHT_ROOM.test(room) && !imported.typeOnly && !LIGHT_ROOM.test(door) && !VOCABULARY.includes(them)) {
    return `${room} is light, it must not load ${them}`
  }
  if (
    them === 'net' &&
    !imported.typeOnly &&
    FEATURES.includes(me) &&
    room !== 'index.ts' &&
    !room.startsWith('protocol/')
  ) {
    return 'in a feature only protocol/ and index.ts talk to net'
  }
  return undefined
}

function findHeavy(files: Files, start: string): { name: string; chain: string[] } | undefined {
  const queue = [[start]]
  const seen = new Set([start])
  for (let chain = queue.shift(); chain !== undefined; chain = queue.shift()) {
    const path = chain.at(-1) as string
    for (const { specifier, lazy, typeOnly } of importsOf(path, files.get(path) ?? '')) {
      if (lazy || typeOnly) continue
      const name = packageOf(specifier)
      if (name !== undefined && HEAVY.test(name)) return { name, chain }
      const next = posix.join(posix.dirname(path), specifier)
      if (!specifier.startsWith('.') || !files.has(next) || seen.has(next)) continue
      seen.add(next)
      queue.push([...chain, next])
    }
  }
  return undefined
}
