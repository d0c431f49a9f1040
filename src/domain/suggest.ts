/** Owns "did you mean": the nearest names to a misspelt one. */

/** Edits (insert, delete, replace, swap neighbours) that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, at(before, j - 2) + 1);
      }
      row.push(best);
    }
    before = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
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

/** ` Did you mean "x"?`, or nothing when no legal name is near. */
export function didYouMean(wanted: string, names: Iterable<string>): string {
  const [best] = nearest(wanted, names, 1);
  return best === undefined ? "" : ` Did you mean "${best}"?`;
}
