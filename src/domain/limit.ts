/** Doing many things at once, but not too many: by number, and by the bytes they hold. */

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

/** Bytes that many tasks share. Whoever waited longest is served first. */
export class ByteBudget {
  private free: number;
  private readonly total: number;
  private readonly waiting: { readonly bytes: number; readonly go: () => void }[] = [];

  constructor(total: number) {
    this.total = total;
    this.free = total;
  }

  /** Waits until `bytes` are free. More than there is in all is taken to be all there is. */
  async take(bytes: number): Promise<void> {
    if (this.tryTake(bytes)) return;
    await new Promise<void>((go) => this.waiting.push({ bytes, go }));
  }

  /** Takes them only if nobody has to wait for it. */
  tryTake(bytes: number): boolean {
    const wanted = Math.min(bytes, this.total);
    if (this.waiting.length > 0 || this.free < wanted) return false;
    this.free -= wanted;
    return true;
  }

  /** Gives back as many as were taken. */
  give(bytes: number): void {
    this.free += Math.min(bytes, this.total);
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      const wanted = Math.min(next.bytes, this.total);
      if (this.free < wanted) return;
      this.free -= wanted;
      this.waiting.shift();
      next.go();
    }
  }
}
