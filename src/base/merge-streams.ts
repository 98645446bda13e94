/**
 * One sequence out of several that are each in the order of their keys. Waits until every source has said its next;
 * the first failure ends it.
 */
export async function* inOrderOfTime<T>(
  sources: readonly AsyncIterable<T>[],
  keyOf: (value: T) => string,
): AsyncGenerator<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]())
  try {
    const heads = await Promise.all(iterators.map((iterator) => iterator.next()))
    for (;;) {
      let least: { index: number; value: T } | undefined
      for (const [index, head] of heads.entries()) {
        if (head.done === true) continue
        if (least === undefined || keyOf(head.value) < keyOf(least.value)) least = { index, value: head.value }
      }
      if (least === undefined) return
      yield least.value
      heads[least.index] = await (iterators[least.index] as AsyncIterator<T>).next()
    }
  } finally {
    leave(iterators)
  }
}

/** One sequence out of several, each value as it comes; ends when all have. The first failure ends it. */
export async function* inOrderOfArrival<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]())
  const step = (index: number) => (iterators[index] as AsyncIterator<T>).next().then((result) => ({ index, result }))
  const waiting = new Map(iterators.map((_, index) => [index, step(index)]))
  try {
    while (waiting.size > 0) {
      const { index, result } = await Promise.race(waiting.values())
      waiting.delete(index)
      if (result.done === true) continue
      // Behind the others, so that one busy source does not drown them.
      waiting.set(index, step(index))
      yield result.value
    }
  } finally {
    leave(iterators)
    for (const last of waiting.values()) last.catch(() => undefined)
  }
}

/** A source that waits for its next value ends when its own work is given up, not before: nobody waits for it here. */
function leave(iterators: readonly AsyncIterator<unknown>[]): void {
  for (const iterator of iterators) void iterator.return?.()?.catch(() => undefined)
}
