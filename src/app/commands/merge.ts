/** One sequence out of several that are each in the order of their keys; waits until every source has said its next. */
export async function* inOrderOfTime<T>(
  sources: readonly AsyncIterable<T>[],
  keyOf: (value: T) => string,
): AsyncGenerator<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]())
  try {
    const heads = await Promise.all(iterators.map((iterator) => iterator.next()))
    for (;;) {
      let least = -1
      for (const [index, head] of heads.entries()) {
        if (head.done === true) continue
        const best = heads[least]
        if (best === undefined || best.done === true || keyOf(head.value) < keyOf(best.value)) least = index
      }
      const head = heads[least]
      if (head === undefined || head.done === true) return
      yield head.value
      heads[least] = await (iterators[least] as AsyncIterator<T>).next()
    }
  } finally {
    await Promise.all(iterators.map((iterator) => iterator.return?.()))
  }
}

/** One sequence out of several, each value as it comes; ends when all have. */
export async function* inOrderOfArrival<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]())
  const step = (index: number) => (iterators[index] as AsyncIterator<T>).next().then((result) => ({ index, result }))
  const waiting = new Map(iterators.map((_, index) => [index, step(index)]))
  try {
    while (waiting.size > 0) {
      const { index, result } = await Promise.race(waiting.values())
      if (result.done === true) waiting.delete(index)
      else {
        yield result.value
        // To the end of the line, so that one busy source does not drown the others.
        waiting.delete(index)
        waiting.set(index, step(index))
      }
    }
  } finally {
    for (const iterator of iterators) void iterator.return?.()
  }
}
