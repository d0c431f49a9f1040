import { describe, expect, test } from "@jest/globals";
import type { Derivation, Substitution } from "../../../src/domain/derivation.ts";
import type { StorePath } from "../../../src/domain/store-path.ts";
import { BuildGraph } from "../../../src/engine/survey/build-graph.ts";
import { FactFinder } from "../../../src/engine/survey/facts.ts";
import { judge, needsOf, nothing, type Wanted } from "../../../src/engine/survey/judge.ts";
import { Lookup } from "../../../src/engine/survey/lookup.ts";
import { derivation, out } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";
import { hold, type MemoryCache, memoryCache, SIGNAL } from "../../support/world.ts";

async function judged(
  derivations: readonly Derivation[],
  own: MemoryCache,
  wanted: readonly Wanted[],
  here: ReadonlySet<StorePath> = new Set(),
  substitution: Substitution = "where allowed",
) {
  const lookup = new Lookup([{ cache: own, role: "own" }], SIGNAL);
  const read = async (path: StorePath) => {
    const found = derivations.find((one) => one.path === path);
    if (!found) throw new Error(`no ${path}`);
    return found;
  };
  const facts = new FactFinder(lookup, read, substitution);
  for (const one of wanted) {
    if (one.kind === "path") await facts.path(one.path);
    else if (one.kind === "recalled") await Promise.all(one.paths.map((path) => facts.path(path)));
    else for (const need of needsOf(one)) await facts.explore(need, "until cached");
  }
  const has = here.size === 0 ? nothing : (path: StorePath) => here.has(path);
  const { build, fetch, unknown, lost } = judge(facts, wanted, has);
  // Verdicts go by the graph that all targets share, a plan by the judgement: the two decide alike.
  const tops = new BuildGraph(facts, has).tops(wanted);
  const shared = new Set(tops.build);
  for (const node of shared) for (const input of node.inputs) shared.add(input);
  expect([...shared].map(({ drvPath }) => drvPath).sort()).toEqual([...build.keys()].sort());
  expect([...tops.lost].sort()).toEqual([...lost].sort());
  const fetched = [...tops.fetch, ...[...shared].flatMap(({ fetches }) => fetches)];
  expect(fetched.filter((path) => !fetch.has(path))).toEqual([]);
  const name = (path: StorePath) => path.slice(44).replace(/\.drv$/, "");
  return {
    build: [...build].map(([path, names]) => `${name(path)} ${[...names].join("+")}`),
    fetch: [...fetch].map(name).sort(),
    unknown: [...unknown].map(name),
    lost: [...lost].map(name),
  };
}

const want = (of: Derivation, ...outputNames: string[]): Wanted => ({
  kind: "derivation",
  drvPath: of.path,
  outputNames: outputNames.length > 0 ? outputNames : ["out"],
});
const NONE = { build: [], fetch: [], unknown: [], lost: [] };

describe("the judgement", () => {
  const root = derivation("root");
  const stem = derivation("stem", { inputs: [root] });
  const leaf = derivation("leaf", { inputs: [stem] });
  const all = [root, stem, leaf];

  test("what is here is not fetched, nor what only it refers to", async () => {
    const [library, below] = [storePath("library"), storePath("below")];
    const own = memoryCache("own");
    hold(own, out(leaf), [library]);
    hold(own, library, [below]);
    hold(own, below);
    expect(await judged(all, own, [want(leaf)])).toMatchObject({
      fetch: ["below", "leaf", "library"],
    });
    expect(await judged(all, own, [want(leaf)], new Set([library]))).toMatchObject({
      fetch: ["leaf"],
    });
  });

  test("a source that no cache has is no hole: evaluation puts it into the store", async () => {
    const script = storePath("script.sh");
    const own = memoryCache("own");
    hold(own, out(leaf), [script]);
    const withScript = { ...root, sources: [script] };
    expect(await judged([withScript, stem, leaf], own, [want(leaf)])).toEqual({
      ...NONE,
      fetch: ["leaf"],
    });
    expect(await judged(all, own, [want(leaf)])).toMatchObject({
      build: ["leaf out", "stem out", "root out"],
    });
  });

  test("with nothing anywhere, everything is built", async () => {
    const own = memoryCache("own");
    expect(await judged(all, own, [want(leaf)])).toEqual({
      ...NONE,
      build: ["leaf out", "stem out", "root out"],
    });
  });

  test("with the target cached, its closure is fetched and nothing is built", async () => {
    const own = memoryCache("own");
    const library = storePath("library");
    hold(own, out(leaf), [library]);
    hold(own, library);
    expect(await judged(all, own, [want(leaf)])).toEqual({ ...NONE, fetch: ["leaf", "library"] });
  });

  test("what is cached half is built, and its inputs are fetched", async () => {
    const own = memoryCache("own");
    hold(own, out(leaf), [storePath("missing-library")]);
    hold(own, out(stem));
    expect(await judged(all, own, [want(leaf)])).toEqual({
      ...NONE,
      build: ["leaf out"],
      fetch: ["stem"],
    });
  });

  test("what is here is neither fetched nor built", async () => {
    const own = memoryCache("own");
    hold(own, out(stem));
    expect(await judged(all, own, [want(leaf)], new Set([out(leaf)]))).toEqual(NONE);
    expect(await judged(all, own, [want(leaf)], new Set([out(stem)]))).toEqual({
      ...NONE,
      build: ["leaf out"],
    });
  });

  test("what may not be substituted is built though a cache has it, and used where it is here", async () => {
    const own = memoryCache("own");
    const local = derivation("local", { kind: "never substituted", inputs: [root] });
    hold(own, out(local));
    hold(own, out(root));
    expect(await judged([root, local], own, [want(local)])).toEqual({
      ...NONE,
      build: ["local out"],
      fetch: ["root"],
    });
    expect(await judged([root, local], own, [want(local)], new Set([out(local)]))).toEqual(NONE);
  });

  test("an output nobody can name is built", async () => {
    const floating = derivation("floating", { kind: "floating", inputs: [root] });
    const own = memoryCache("own");
    hold(own, out(root));
    expect(await judged([root, floating], own, [want(floating)])).toEqual({
      ...NONE,
      build: ["floating out"],
      fetch: ["root"],
    });
  });

  test("where nobody answered, nothing is concluded", async () => {
    const own = memoryCache("own");
    own.content.set(out(leaf), { kind: "unknown", cause: new Error("no answer") });
    expect(await judged(all, own, [want(leaf)])).toEqual({ ...NONE, unknown: ["leaf"] });
  });

  test("a path without a derivation is lost where no cache has it", async () => {
    const own = memoryCache("own");
    const [a, b] = [storePath("a"), storePath("b")];
    hold(own, b);
    const wanted: Wanted[] = [
      { kind: "path", path: a },
      { kind: "path", path: b },
    ];
    expect(await judged([], own, wanted)).toEqual({ ...NONE, fetch: ["b"], lost: ["a"] });
  });

  test("what an evaluation record names is fetched with its closure, and lost where it is not served whole", async () => {
    const own = memoryCache("own");
    const [program, library, half] = [
      storePath("program"),
      storePath("library"),
      storePath("half"),
    ];
    hold(own, program, [library]);
    hold(own, library);
    hold(own, half, [storePath("nowhere")]);
    const recalled = (...paths: StorePath[]): Wanted => ({ kind: "recalled", paths, trivial: 3 });
    expect(await judged([], own, [recalled(program)])).toEqual({
      ...NONE,
      fetch: ["library", "program"],
    });
    expect(await judged([], own, [recalled(program, half)])).toEqual({
      ...NONE,
      fetch: ["library", "program"],
      lost: ["half"],
    });
    expect(await judged([], own, [recalled(program)], new Set([program]))).toEqual(NONE);
  });

  test("a derivation wanted by several is built once, with all the outputs wanted", async () => {
    const two = derivation("two", { outputs: ["out", "dev"], inputs: [root] });
    const own = memoryCache("own");
    const { build } = await judged([root, two], own, [want(two), want(two, "dev")]);
    expect(build.map((line) => line.split(" ")[0])).toEqual(["two", "root"]);
    expect(build[0]?.split(" ")[1]?.split("+").sort()).toEqual(["dev", "out"]);
  });

  test("of several outputs only those that lack are fetched", async () => {
    const two = derivation("two", { outputs: ["out", "dev"] });
    const own = memoryCache("own");
    hold(own, out(two));
    hold(own, out(two, "dev"));
    const here = new Set([out(two)]);
    expect(await judged([two], own, [want(two, "out", "dev")], here)).toEqual({
      ...NONE,
      fetch: ["two-dev"],
    });
  });

  test("of several outputs one may be here alone, and in no cache", async () => {
    const two = derivation("two", { outputs: ["out", "dev"], inputs: [root] });
    const own = memoryCache("own");
    hold(own, out(two, "dev"));
    const both = [want(two, "out", "dev")];
    expect(await judged([root, two], own, both, new Set([out(two)]))).toEqual({
      ...NONE,
      fetch: ["two-dev"],
    });
    const { build } = await judged([root, two], own, both, new Set([out(two, "dev")]));
    expect(build).toEqual(["two out+dev", "root out"]);
  });

  test("what may not be substituted is built though it comes along with what is fetched", async () => {
    const own = memoryCache("own");
    const local = derivation("local", { kind: "never substituted", inputs: [root] });
    hold(own, out(root));
    hold(own, out(local));
    hold(own, out(leaf), [out(local)]);
    expect(await judged([...all, local], own, [want(leaf), want(local)])).toEqual({
      ...NONE,
      build: ["local out"],
      fetch: ["leaf", "local", "root"],
    });
  });

  test("a path that is here is not lost, whoever lacks it, nor where nothing may be fetched", async () => {
    const own = memoryCache("own");
    const [here, there] = [storePath("here"), storePath("there")];
    hold(own, there);
    const wanted = [here, there].map((path): Wanted => ({ kind: "path", path }));
    expect(await judged([], own, wanted, new Set([here]))).toEqual({ ...NONE, fetch: ["there"] });
    expect(await judged([], own, wanted, new Set([here]), "never")).toEqual({
      ...NONE,
      lost: ["there"],
    });
  });
});
