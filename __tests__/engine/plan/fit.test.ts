/** Holds what is left out for want of disk space against a reckoning that goes through each target by itself. */

import { expect, test } from "@jest/globals";
import type { BuildFigures } from "../../../src/domain/build-figures.ts";
import type { Derivation } from "../../../src/domain/derivation.ts";
import { workOf } from "../../../src/engine/plan/work.ts";
import { decide } from "../../../src/engine/run.ts";
import { judge } from "../../../src/engine/survey/judge.ts";
import { survey } from "../../../src/engine/survey.ts";
import { chance } from "../../support/fuzz.ts";
import { derivation, out } from "../../support/graph.ts";
import { hold, job, memoryCache, memoryNix, SIGNAL, WRITE, world } from "../../support/world.ts";

const GB = 1e9;
const WORLDS = 150;

test("targets are left out as if each was gone through by itself", async () => {
  const next = chance(18);
  let cut = 0;
  for (let n = 0; n < WORLDS; n++) {
    const all: Derivation[] = [];
    const own = memoryCache("own", { verbs: ["push"] });
    const figures = new Map<string, BuildFigures>();
    for (let i = 0; i < 6 + next(12); i++) {
      const inputs = all.filter(() => next(3) === 0);
      const one = derivation(`w${n}x${i}`, { inputs });
      all.push(one);
      if (next(4) === 0) hold(own, out(one));
      const outputBytes = (1 + next(15)) * GB;
      figures.set(one.name, {
        ...{ name: one.name, buildBytes: 0, outputBytes, seconds: 1, takenAt: 1 },
      });
    }
    const tops = all.filter((_, i) => i % 2 === 1 || next(3) === 0);
    const flake = Object.fromEntries(tops.map((one, i) => [`t${i}`, one]));
    const closure = next(2) ? "" : " closure=build";
    const targets = tops.map((_, i) => `.#t${i} priority=${next(4)}${closure}`).join("\n");
    const freeBytes = (10 + next(60) + 0.5) * GB;
    const what = job({ mode: "warm", targets, "min-free": "0" });
    const here = world({
      ...{ own, freeBytes, nix: memoryNix({ flake, derivations: all }) },
      figures: { recall: async () => figures, remember: async () => undefined },
    });
    const seen = await survey(what, WRITE, here, SIGNAL);
    const { leftOut } = await decide(what, seen, here, SIGNAL);

    const taken = new Set<string>();
    const left: string[] = [];
    let bytes = 0;
    const { names } = workOf(what, seen);
    const byPriority = seen.targets
      .filter(({ name }) => names.has(name))
      .sort((a, b) => b.target.priority - a.target.priority);
    for (const { name, wanted } of byPriority) {
      const deep = seen.deep.missing([name]);
      const wants = deep.map((one) => ({ kind: "derivation" as const, ...one }));
      const { build } = judge(seen.facts, wanted ? [wanted, ...wants] : wants, () => false);
      const fresh = [...build.keys()].filter((path) => !taken.has(path));
      const takes = fresh.reduce((sum, path) => {
        const figure = figures.get(seen.facts.derivations.get(path)?.name ?? "");
        return sum + (figure?.outputBytes ?? 0);
      }, 0);
      if (fresh.length > 0 && bytes + takes > freeBytes) left.push(name);
      else {
        bytes += takes;
        for (const path of fresh) taken.add(path);
      }
    }
    const isSome = left.length < byPriority.length;
    expect({ n, leftOut }).toEqual({ n, leftOut: isSome ? left : [] });
    if (isSome && left.length > 0) cut++;
  }
  expect(cut).toBeGreaterThan(WORLDS / 5);
});
