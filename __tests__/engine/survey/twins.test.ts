import { describe, expect, test } from "@jest/globals";
import type { Derivation } from "../../../src/domain/derivation.ts";
import { findTwins } from "../../../src/engine/survey/twins.ts";
import { survey } from "../../../src/engine/survey.ts";
import { type DerivationOptions, derivation, out } from "../../support/graph.ts";
import { hold, job, memoryCache, memoryNix, SIGNAL, WRITE, world } from "../../support/world.ts";

const ours = derivation("bws-1.0.0");
const theirs = derivation("bws-1.0.0", { variant: "overlay" });

async function twins(
  flake: Readonly<Record<string, Derivation>>,
  options: { readonly cached?: readonly Derivation[]; readonly targets?: string } = {},
) {
  const own = memoryCache("own");
  for (const one of options.cached ?? []) hold(own, out(one));
  const nix = memoryNix({ flake, derivations: [ours, theirs] });
  const targets =
    options.targets ??
    Object.keys(flake)
      .map((name) => `.#${name}`)
      .join("\n");
  const seen = await survey(job({ targets }), WRITE, world({ nix, own }), SIGNAL);
  return findTwins(seen.facts, seen.targets).map(
    ({ name, target, derivation: drv, others, wantedBy }) => ({
      name,
      target,
      ours: drv === ours.path,
      others: others.first.map((other) => [other === theirs.path, wantedBy.first]),
    }),
  );
}

const home = (name: string, input: Derivation, options: DerivationOptions = {}) =>
  derivation(name, { kind: "trivial", inputs: [input], ...options });

describe("twins", () => {
  test("a target is warmed while others want another of its name", async () => {
    expect(await twins({ bws: ours, a: home("a", theirs), b: home("b", theirs) })).toEqual([
      { name: "bws-1.0.0", target: ".#bws", ours: true, others: [[true, [".#a", ".#b"]]] },
    ]);
  });

  test("are found one step below what is built, where the caches have them", async () => {
    const found = await twins({ bws: ours, a: home("a", theirs) }, { cached: [theirs] });
    expect(found.map(({ target }) => target)).toEqual([".#bws"]);
  });

  test.each([
    ["the others want the very same", { bws: ours, a: home("a", ours) }],
    ["nobody else wants one", { bws: ours }],
    [
      "two configurations differ, and neither is a target",
      { a: home("a", ours), b: home("b", theirs) },
    ],
    [
      "one is trivial",
      {
        bws: derivation("note", { kind: "trivial" }),
        a: home("a", derivation("note", { kind: "trivial", variant: "x" })),
      },
    ],
    [
      "one is for another system",
      {
        bws: derivation("bws-1.0.0", { system: "aarch64-linux", variant: "arm" }),
        a: home("a", theirs),
      },
    ],
  ])("are none where %s", async (_, flake) => {
    const known = Object.values(flake);
    const nix = memoryNix({ flake, derivations: [ours, theirs, ...known] });
    const targets = Object.keys(flake)
      .map((name) => `.#${name}`)
      .join("\n");
    const own = memoryCache("own");
    const seen = await survey(job({ targets }), WRITE, world({ nix, own }), SIGNAL);
    expect(findTwins(seen.facts, seen.targets)).toEqual([]);
  });

  test("siblings of one flake are meant to differ, whatever they are called", async () => {
    expect(await twins({ bws: ours, other: theirs })).toEqual([]);
  });
});
