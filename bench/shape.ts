/** Owns the shape of the bench's closures: some depth, some width, the same on every machine. */

const LEVELS = 10;

/** Edges of `n` nodes: node 0 is the root, and every node but it is referred to by one before it. */
export function shape(n: number): readonly (readonly number[])[] {
  const random = generator(n);
  const levels = cut(n);
  const edges: Set<number>[] = Array.from({ length: n }, () => new Set());
  levels.forEach(({ begin, end }, level) => {
    const below = levels[level + 1];
    if (!below) return;
    // Everything below is wanted by somebody above.
    for (let child = below.begin; child < below.end; child++) {
      edges[begin + Math.floor(random() * (end - begin))]?.add(child);
    }
    // And what lies deep (a libc, a shell) is wanted from everywhere.
    const deep = levels[levels.length - 1] ?? below;
    for (let node = begin; node < end && level > 0; node++) {
      const { begin: from, end: to } = random() < 0.3 ? deep : below;
      const extra = 1 + Math.floor(random() * 3);
      for (let k = 0; k < extra; k++) edges[node]?.add(from + Math.floor(random() * (to - from)));
    }
  });
  return edges.map((to) => [...to].sort((a, b) => a - b));
}

/** One root, then levels that swell to the middle and thin out: what real closures look like. */
function cut(n: number): { begin: number; end: number }[] {
  const weights = Array.from({ length: LEVELS - 1 }, (_, i) =>
    Math.sin(((i + 1) * Math.PI) / LEVELS),
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  const levels = [{ begin: 0, end: 1 }];
  let at = 1;
  let share = 0;
  for (const weight of weights) {
    share += weight;
    const end = Math.max(at + 1, 1 + Math.round(((n - 1) * share) / sum));
    if (at < n) levels.push({ begin: at, end: Math.min(end, n) });
    at = end;
  }
  return levels;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
