import { describe, expect, test } from "@jest/globals";
import type { BuildFigures } from "../../../src/domain/build-figures.ts";
import type { Derivation } from "../../../src/domain/derivation.ts";
import { baseName, hashPart } from "../../../src/domain/store-path.ts";
import { Comparison } from "../../../src/engine/rebuilds/compare-ledgers.ts";
import { takeLedger } from "../../../src/engine/rebuilds/take-ledger.ts";
import { survey } from "../../../src/engine/survey.ts";
import { derivation, out } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";
import { hold, job, memoryCache, memoryNix, SIGNAL, WRITE, world } from "../../support/world.ts";

const SOURCES = { branch: "main", revision: "", tree: "", inputs: [] };
const FIGURES: BuildFigures = {
  name: "app",
  buildBytes: 1,
  outputBytes: 77,
  seconds: 12,
  takenAt: 1,
};

function having(one: Derivation, values: Readonly<Record<string, string>>, more = {}): Derivation {
  return { ...one, environment: new Map(Object.entries(values)), ...more };
}

/** The ledger of a flake that has `app` alone; a cache has the outputs of `cached`. */
async function taken(app: Derivation, others: readonly Derivation[], cached = others) {
  const nix = memoryNix({ flake: { app }, derivations: others });
  const own = memoryCache("own");
  for (const one of cached) hold(own, out(one));
  const seen = await survey(job({ targets: ".#app" }), WRITE, world({ nix, own }), SIGNAL);
  const figures = new Map([["app", FIGURES]]);
  const read = (path: Derivation["path"]) => nix.derivation(path);
  const ledger = await takeLedger({ seen, sources: SOURCES, figures, now: 1, read });
  if (!ledger) throw new Error("there is no ledger");
  const place = ledger.nodes.findIndex(({ name }) => name === app.name);
  return { ledger, place, app: ledger.nodes[place] };
}

describe("the ledger of a run", () => {
  test("holds what its targets are built of, inputs first, with what is known of each", async () => {
    const deep = derivation("deep");
    const library = derivation("library", { inputs: [deep], outputs: ["out", "dev"] });
    const { ledger } = await taken(
      derivation("app-1.0", { inputs: [library] }),
      [library, deep],
      [library],
    );
    expect(ledger.targets).toEqual([{ name: ".#app", node: 2 }]);
    expect(ledger.nodes).toMatchObject([
      { name: "deep", verdict: "not asked", inputs: [], seconds: undefined },
      { name: "library", verdict: "cached", inputs: [0], bytes: undefined },
      { name: "app-1.0", verdict: "missing", inputs: [1], seconds: 12, bytes: 77 },
    ]);
    expect(ledger.nodes[1]?.derivation).toBe(hashPart(library.path));
    expect([...(ledger.nodes[1]?.outputs.keys() ?? [])]).toEqual(["out", "dev"]);
    expect([ledger.download, ledger.closure]).toEqual([1000, undefined]);
  });

  test("knows the closure where all of it is in a cache", async () => {
    const app = derivation("app-1.0");
    const { ledger } = await taken(app, [], [app]);
    expect(ledger.closure).toBe(1000);
  });
});

/** Which attributes two derivations of one name differ in. */
async function differing(
  one: readonly [Derivation, readonly Derivation[]],
  other: readonly [Derivation, readonly Derivation[]],
): Promise<readonly string[]> {
  const [base, head] = await Promise.all([taken(...one), taken(...other)]);
  return new Comparison(head.ledger, base.ledger).ownAttributes(head.place);
}

describe("an attribute", () => {
  const app = (
    variant: string,
    inputs: readonly Derivation[],
    values: Readonly<Record<string, string>>,
  ) => having(derivation("app", { variant, inputs }), values);
  const old = derivation("openssl-3.5.0");
  const fresh = derivation("openssl-3.5.1");

  test("is the same where only another build of an input stands in it", async () => {
    const value = (input: Derivation) => `-L${out(input)}/lib -O2`;
    expect(
      await differing(
        [app("a", [old], { flags: value(old), out: "/a" }), [old]],
        [app("b", [fresh], { flags: value(fresh), out: "/b" }), [fresh]],
      ),
    ).toEqual([]);
  });

  test("is another one where anything else in it is, and where another input stands in it", async () => {
    const other = derivation("libressl-3.5.1");
    expect(
      await differing(
        [app("a", [old], { flags: "-O2", tls: out(old), gone: "1" }), [old]],
        [app("b", [other], { flags: "-O3", tls: out(other) }), [other]],
      ),
    ).toEqual(["flags", "gone", "tls"]);
  });

  test("is another one where its download or its source is", async () => {
    const tar = (variant: string) => derivation("source", { kind: "fixed", variant });
    const [before, now] = [tar("x"), tar("y")];
    expect(
      await differing(
        [app("a", [before], { src: out(before) }), [before]],
        [app("b", [now], { src: out(now) }), [now]],
      ),
    ).toEqual(["src"]);
    const source = (name: string) => {
      const path = storePath(name);
      return having(app(name, [], {}), { src: path }, { sources: [path] });
    };
    const named = (text: string) => source(text);
    const head = await taken(named("web-two"), []);
    expect(head.app?.sources).toEqual([baseName(storePath("web-two"))]);
    expect(await differing([named("web-one"), []], [named("web-two"), []])).toEqual(["src"]);
  });

  test("is read out of structured attributes one by one", async () => {
    const json = (value: unknown) => JSON.stringify({ pname: "app", flags: value });
    expect(
      await differing(
        [app("a", [], { __json: json(["-O2"]) }), []],
        [app("b", [], { __json: json(["-O3"]) }), []],
      ),
    ).toEqual(["flags"]);
  });
});
