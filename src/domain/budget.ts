/** Owns a shared amount of memory: what is done at once is bounded by bytes, not by how many things it is. */

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
