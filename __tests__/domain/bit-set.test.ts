import { describe, expect, test } from "@jest/globals";
import { BitSet } from "../../src/domain/bit-set.ts";
import { chance } from "../support/fuzz.ts";

const setOf = (numbers: Iterable<number>, end: number) => {
  const set = new BitSet(end);
  for (const number of numbers) set.add(number);
  return set;
};

describe("a set of bits", () => {
  const edges = [0, 1, 30, 31, 32, 33, 63, 64, 99];

  test("holds what was added, at the edges of its words too", () => {
    const set = setOf(edges, 100);
    expect(Array.from({ length: 100 }, (_, n) => n).filter((n) => set.has(n))).toEqual(edges);
    expect(set.size).toBe(edges.length);
    expect(set.first(100)).toEqual(edges);
    expect(set.first(4)).toEqual(edges.slice(0, 4));
    expect(set.first(2, setOf([31, 64, 98], 100))).toEqual([31, 64]);
  });

  test("counts each number over many sets as one by one", () => {
    const end = 70;
    const next = chance(18);
    const lists = Array.from({ length: 200 }, (_, i) =>
      Array.from({ length: end }, (_, n) => n).filter(() => next(9) < i % 10),
    );
    const expected = Array.from(
      { length: end },
      (_, n) => lists.filter((l) => l.includes(n)).length,
    );
    const sets = lists.map((list) => setOf(list, end));
    expect([...BitSet.counts(sets, end)]).toEqual(expected);
    const all = new BitSet(end);
    for (const set of sets) all.addAll(set);
    expect(all.size).toBe(expected.filter((count) => count > 0).length);
  });
});
