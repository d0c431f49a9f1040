/** Owns disjoint sets: which keys belong together, however they came to. */

/** Each set is named by one of its keys. */
export class DisjointSets<K> {
  private readonly parents = new Map<K, K>();

  groupOf(key: K): K {
    let at = key;
    for (let up = this.parents.get(at); up !== undefined; up = this.parents.get(at)) {
      // Half the way is cut on each walk, so that walks stay short.
      const above = this.parents.get(up);
      if (above !== undefined) this.parents.set(at, above);
      at = up;
    }
    return at;
  }

  join(a: K, b: K): void {
    const [one, other] = [this.groupOf(a), this.groupOf(b)];
    if (one !== other) this.parents.set(other, one);
  }
}

/** The items by group, in the order in which each group was met first. */
export function grouped<K, T>(items: Iterable<T>, keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
