/** Owns doing many things at once, but not too many. */

/** Runs `task` for every item, at most `most` at a time, and keeps the order of the results. */
export async function mapLimited<T, R>(
  items: readonly T[],
  most: number,
  task: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await task(items[index] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
  return results;
}

/** Runs `task` as soon as fewer than the limit are running. */
export type Limiter = <R>(task: () => Promise<R>) => Promise<R>;

export function limiter(most: number): Limiter {
  let running = 0;
  // `shift` moves everything behind it: with 100,000 waiting that is most of the work.
  let waiting: (() => void)[] = [];
  let first = 0;
  return async (task) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await task();
    } finally {
      // A finished task hands its place on, so that the count never passes the limit.
      const next = waiting[first++];
      if (next) next();
      else {
        running--;
        waiting = [];
        first = 0;
      }
    }
  };
}
