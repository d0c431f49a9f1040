/** Owns sets of small numbers, a bit each: which of 2,000 targets want each of 100,000 derivations is 25 MB. */

const BITS = 32;

export class BitSet {
  private readonly words: Uint32Array;

  /** Of numbers below `end`. */
  constructor(end: number) {
    this.words = new Uint32Array(Math.ceil(end / BITS));
  }

  add(number: number): void {
    const at = Math.floor(number / BITS);
    this.words[at] = (this.words[at] ?? 0) | (1 << (number % BITS));
  }

  copy(): BitSet {
    const same = new BitSet(this.words.length * BITS);
    same.words.set(this.words);
    return same;
  }

  addAll({ words }: BitSet): void {
    for (let at = 0; at < words.length; at++) {
      this.words[at] = (this.words[at] ?? 0) | (words[at] ?? 0);
    }
  }

  has(number: number): boolean {
    return (((this.words[Math.floor(number / BITS)] ?? 0) >>> (number % BITS)) & 1) === 1;
  }

  /** No more than is in the other one, too. */
  keepOnly({ words }: BitSet): void {
    for (let at = 0; at < this.words.length; at++) {
      this.words[at] = (this.words[at] ?? 0) & (words[at] ?? 0);
    }
  }

  /** The same of equal sets. */
  toString(): string {
    return this.words.join();
  }

  get size(): number {
    let size = 0;
    for (const word of this.words) size += ones(word);
    return size;
  }

  /** The smallest ones, no more than `most`; of those that are in `within` as well, where that is given. */
  first(most: number, within?: BitSet): number[] {
    const found: number[] = [];
    for (let at = 0; at < this.words.length; at++) {
      const word = this.words[at] ?? 0;
      let left = within ? word & (within.words[at] ?? 0) : word;
      for (; left !== 0; left &= left - 1) {
        if (found.length === most) return found;
        found.push(at * BITS + BITS - 1 - Math.clz32(left & -left));
      }
    }
    return found;
  }

  /**
   * In how many of the sets each number is. Words are added as wholes: digit by digit of the 32 sums
   * that they stand for, which takes two steps a word on the whole, and not one for each number in it.
   */
  static counts(sets: Iterable<BitSet>, end: number): Uint32Array {
    const digits = Array.from({ length: Math.ceil(end / BITS) }, (): number[] => []);
    for (const { words } of sets) {
      for (let at = 0; at < words.length; at++) {
        const sums = digits[at] ?? [];
        let carry = words[at] ?? 0;
        for (let digit = 0; carry !== 0; digit++) {
          const before = sums[digit] ?? 0;
          sums[digit] = before ^ carry;
          carry &= before;
        }
      }
    }
    const counts = new Uint32Array(end);
    for (let number = 0; number < end; number++) {
      for (const [digit, sum] of (digits[Math.floor(number / BITS)] ?? []).entries()) {
        counts[number] = (counts[number] ?? 0) + ((sum >>> (number % BITS)) & 1) * 2 ** digit;
      }
    }
    return counts;
  }
}

/** How many bits of the word are set. */
function ones(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return (((fours + (fours >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}
