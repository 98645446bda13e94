import { implement, type Route } from '../api/index.ts'
import { memberContract } from './contract.ts'
import type { Directory } from './directory.ts'

export function memberRoutes(directory: Directory): Route[] {
  return [
    implement(memberContract.list, ({ query }) =>
      query.on === undefined ? directory.nodes() : directory.select(query.on),
    ),
  ]
}
