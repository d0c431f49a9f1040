/** "Did you mean": the nearest names to a misspelt one. */

/** Edits (insert, delete, replace, swap neighbours) that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  // Flat arrays: a set of packages has 100,000 names, and each is compared.
  let before = new Uint32Array(b.length + 1);
  let last = Uint32Array.from(before, (_, j) => j);
  let row = new Uint32Array(b.length + 1);
  for (let i = 1; i <= a.length; i++) {
    const char = a.charCodeAt(i - 1);
    const charBefore = i > 1 ? a.charCodeAt(i - 2) : -1;
    row[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const other = b.charCodeAt(j - 1);
      let best = (last[j - 1] ?? 0) + (char === other ? 0 : 1);
      const deleted = (last[j] ?? 0) + 1;
      if (deleted < best) best = deleted;
      const inserted = (row[j - 1] ?? 0) + 1;
      if (inserted < best) best = inserted;
      if (i > 1 && j > 1 && charBefore === other && char === b.charCodeAt(j - 2)) {
        const swapped = (before[j - 2] ?? 0) + 1;
        if (swapped < best) best = swapped;
      }
      row[j] = best;
    }
    [before, last, row] = [last, row, before];
  }
  return last[b.length] ?? 0;
}

/** The names nearest to `wanted`, best first; none that share nothing with it. */
export function nearest(wanted: string, names: Iterable<string>, most = 3): string[] {
  const low = wanted.slice(0, 64).toLowerCase();
  const allowed = Math.max(2, Math.floor(low.length / 3));
  const scored: { name: string; score: number }[] = [];
  for (const name of names) {
    const candidate = name.slice(0, 64).toLowerCase();
    const contains = low.length > 1 && (candidate.includes(low) || low.includes(candidate));
    // A length that differs by more than the allowance cannot be within it: skip the costly part.
    const far = Math.abs(candidate.length - low.length) > allowed;
    const distance = far ? allowed + 1 : editDistance(low, candidate);
    if (distance <= allowed) scored.push({ name, score: distance });
    else if (contains) scored.push({ name, score: allowed + 1 });
  }
  scored.sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1));
  return scored.slice(0, most).map(({ name }) => name);
}

/** ` Did you mean "x"?`, or nothing when no legal name is near, or it is the word itself. */
export function didYouMean(wanted: string, names: Iterable<string>): string {
  const [best] = nearest(wanted, names, 1);
  return best === undefined || best === wanted ? "" : ` Did you mean "${best}"?`;
}
