/** Owns graphs of derivations and what caches hold of them: what is built, and what fetched. */

import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseDerivation } from "../../src/domain/derivation.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { BuildGraph } from "../../src/engine/survey/build-graph.ts";
import { FactFinder } from "../../src/engine/survey/facts.ts";
import { judge, nothing } from "../../src/engine/survey/judge.ts";
import { Lookup } from "../../src/engine/survey/lookup.ts";
import { describeSubstituters } from "../../src/engine/survey/substituters.ts";
import { parseDryRun, parseRun } from "../e2e/real-nix.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import { openAt } from "../support/open-cache.ts";
import type { Comparison } from "./difference.ts";
import type { Court } from "./judges.ts";
import { narInfoText, narOf, withPath, writeCache } from "./made-up.ts";

interface Node {
  readonly name: string;
  readonly outputs: readonly string[];
  readonly kind: "plain" | "never" | "preferred" | "structured" | "structured never" | "fixed";
  /** Earlier nodes, each with the output that is used. */
  readonly inputs: readonly { readonly node: number; readonly output: string }[];
  readonly source: "none" | "text";
}

interface Held {
  readonly node: number;
  readonly output: string;
  /** Those of the inputs that the cache says it refers to, by number; `extra`: nodes it says so of, too. */
  readonly refers: readonly number[];
  readonly extra: readonly number[];
  readonly source: boolean;
}

export interface GraphWorld {
  readonly what: string;
  readonly nodes: readonly Node[];
  readonly caches: readonly (readonly Held[])[];
  readonly wanted: readonly { readonly node: number; readonly outputs: readonly string[] }[];
  /** Its derivations are of this number, and so no other world's. */
  readonly number: number;
}

interface Made {
  readonly drv: string;
  readonly outputs: Readonly<Record<string, string>>;
  readonly source: string | null;
}

const KINDS: readonly Node["kind"][] = [
  "plain",
  "plain",
  "plain",
  "plain",
  "never",
  "preferred",
  "structured",
  "structured never",
  "fixed",
];

function makeNodes(next: Chance): Node[] {
  return Array.from({ length: 3 + next(6) }, (_, n): Node => {
    const kind = KINDS[next(KINDS.length)] ?? "plain";
    const count = kind === "fixed" ? 1 : 1 + (next(4) === 0 ? 1 + next(2) : 0);
    const inputs: { node: number; output: string }[] = [];
    for (let tries = n === 0 ? 0 : next(4); tries > 0; tries--) {
      const node = next(n);
      if (!inputs.some((input) => input.node === node)) inputs.push({ node, output: "out" });
    }
    return {
      name: `n${n}`,
      outputs: ["out", "dev", "doc"].slice(0, count),
      kind,
      inputs,
      source: next(4) === 0 ? "text" : "none",
    };
  });
}

/** What a node is built from, near and far. */
function below(nodes: readonly Node[], node: number, found = new Set<number>()): Set<number> {
  for (const { node: input } of nodes[node]?.inputs ?? []) {
    if (found.has(input)) continue;
    found.add(input);
    below(nodes, input, found);
  }
  return found;
}

/** `complementary`: each part is in some cache; `contradicting`: they do not say the same of a path. */
function makeWorld(next: Chance, number: number): GraphWorld {
  const nodes = makeNodes(next).map((node, _, all) => ({
    ...node,
    inputs: node.inputs.map(({ node: at }) => {
      const outputs = all[at]?.outputs ?? ["out"];
      return { node: at, output: outputs[next(outputs.length)] ?? "out" };
    }),
  }));
  const caches = Array.from({ length: 1 + next(3) }, () => {
    const held: Held[] = [];
    const rate = 1 + next(5);
    nodes.forEach(({ outputs, inputs, source }, node) => {
      for (const output of outputs) {
        if (next(6) >= rate) continue;
        // A fixed output refers to nothing.
        const refers = inputs.flatMap((_, index) => (next(2) === 0 ? [index] : []));
        const far = [...below(nodes, node)];
        const extra = far.length > 0 && next(8) === 0 ? [far[next(far.length)] ?? 0] : [];
        held.push({ node, output, refers, extra, source: source === "text" && next(2) === 0 });
      }
    });
    return held;
  });
  const wanted = [...new Set([nodes.length - 1, next(nodes.length)])].map((node) => {
    const outputs = nodes[node]?.outputs ?? ["out"];
    return { node, outputs: next(3) === 0 ? outputs : [outputs[next(outputs.length)] ?? "out"] };
  });
  return { what: `graph ${number}`, nodes, caches, wanted, number };
}

type Told = readonly [what: string, caches: readonly (readonly Held[])[]];

const plain = (node: number, refers: readonly number[] = []): Held => ({
  node,
  output: "out",
  refers,
  extra: [],
  source: false,
});

/** Two caches that do not say the same of a path, and one of them names what nobody has. */
const CONTRADICTIONS: readonly Told[] = [
  ["the first with a hole", [[plain(1, [0])], [plain(1)]]],
  ["the second with a hole", [[plain(1)], [plain(1, [0])]]],
  ["both with a hole", [[plain(1, [0])], [plain(1, [0])]]],
  ["each with a part", [[plain(1, [0])], [plain(0)]]],
  ["above it, the first with a hole", [[plain(2, [0]), plain(1, [0])], [plain(1)]]],
  ["above it, the second with a hole", [[plain(2, [0]), plain(1)], [plain(1, [0])]]],
  ["of three the last is whole", [[plain(1, [0])], [plain(1, [0])], [plain(1)]]],
  ["of three the middle is whole", [[plain(1, [0])], [plain(1)], [plain(1, [0])]]],
  ["of three the first is whole", [[plain(1)], [plain(1, [0])], [plain(1, [0])]]],
  ["of three none is whole", [[plain(1, [0])], [plain(1, [0])], [plain(1, [0])]]],
  ["of three each with a part", [[plain(2, [0])], [plain(1, [0])], [plain(0)]]],
  ["of three the last fills the hole of the first", [[plain(1, [0])], [plain(1)], [plain(0)]]],
  [
    "of three each above it has a hole",
    [[plain(2, [0]), plain(1)], [plain(2, [0]), plain(1, [0])], [plain(1, [0])]],
  ],
];

/** What is wanted of `n1`, which may not be fetched, and of `n2`, which is and refers to it. */
const OVERTAKEN: readonly Told[] = [
  ["both built and fetched", [[plain(0), plain(1, [0]), plain(2, [0])]]],
  ["both built and fetched, with a hole", [[plain(1), plain(2, [0])], [plain(1, [0])]]],
];

const CHAIN: readonly Node[] = [0, 1, 2].map((n) => ({
  name: `n${n}`,
  outputs: ["out"],
  kind: "plain",
  inputs: n === 0 ? [] : [{ node: n - 1, output: "out" }],
  source: "none",
}));

const CHAIN_OF_NEVER = CHAIN.map((node, n): Node => (n === 1 ? { ...node, kind: "never" } : node));

function expressionOf(worlds: readonly GraphWorld[]): string {
  const text = worlds.map(({ nodes, number }) => {
    const w = `w${number}`;
    const lines = nodes.map(({ name, outputs, kind, inputs, source }, n) => {
      const uses = inputs.map(({ node, output }) => `\${n${node}.${output}}`).join(" ");
      const files = source === "text" ? `\${s${n}}` : "";
      const fill = outputs.map((output) => `echo ${uses} ${files} > $${output}`).join("; ");
      const structured = kind.startsWith("structured");
      const script = structured
        ? `. .attrs.sh; ${outputs.map((o) => `echo ${uses} ${files} > \${outputs[${o}]}`).join("; ")}`
        : fill;
      const attributes = [
        `name = "${w}-${name}"; system = builtins.currentSystem; builder = "${structured ? "/bin/bash" : "/bin/sh"}";`,
        `outputs = [ ${outputs.map((o) => `"${o}"`).join(" ")} ];`,
        `args = [ "-c" "${script.replace(/\$\{outputs/g, "\\${outputs").replace(/\$(?=(out|dev|doc)\b)/g, "\\$")}" ];`,
        kind === "never" || kind === "structured never" ? "allowSubstitutes = false;" : "",
        kind === "preferred" ? "preferLocalBuild = true;" : "",
        structured ? "__structuredAttrs = true;" : "",
        kind === "fixed"
          ? `outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputHash = "${"0".repeat(52)}";`
          : "",
      ];
      const own = source === "text" ? `s${n} = builtins.toFile "${w}-s${n}" "source ${n}";` : "";
      return `${own} n${n} = derivation { ${attributes.join(" ")} };`;
    });
    const told = nodes.map(({ outputs, source }, n) => {
      const paths = outputs.map((o) => `${o} = n${n}.${o}.outPath;`).join(" ");
      return `{ drv = n${n}.drvPath; outputs = { ${paths} }; source = ${source === "text" ? `"\${s${n}}"` : "null"}; }`;
    });
    return `(let ${lines.join("\n")} in [ ${told.join(" ")} ])`;
  });
  return `[ ${text.join("\n")} ]`;
}

/** What a set of worlds is made of: one evaluation, and caches that hold what each of them says. */
interface Prepared {
  readonly made: ReadonlyMap<GraphWorld, readonly Made[]>;
  readonly urls: readonly string[];
}

/** As many caches as a world has at most. */
const CACHES = [0, 1, 2] as const;

export function graphs(court: Court): Comparison<GraphWorld> {
  const { storeDir } = court.machine;
  const once = chance(13);
  const prepared = new WeakMap<GraphWorld, Prepared>();
  let number = 0;
  const create = (next: Chance): GraphWorld => makeWorld(next, number++);
  const chain = (
    what: string,
    caches: GraphWorld["caches"],
    wanted: readonly number[],
    nodes = CHAIN,
  ): GraphWorld => {
    const outputs = ["out"];
    const those = wanted.map((node) => ({ node, outputs }));
    return { what, nodes, caches, wanted: those, number: number++ };
  };
  const madeOf = (world: GraphWorld) => prepared.get(world)?.made.get(world) ?? [];
  const urlsOf = (world: GraphWorld) => prepared.get(world)?.urls ?? [];
  const pathsIn = (world: GraphWorld, made: readonly Made[], n: number) =>
    (world.caches[n] ?? []).flatMap(({ node, output, refers, extra, source }) => {
      const one = made[node];
      const path = one?.outputs[output];
      if (!one || !path) return [];
      const inputs = world.nodes[node]?.inputs ?? [];
      const references = [
        ...refers.map(
          (index) =>
            made[inputs[index]?.node ?? 0]?.outputs[inputs[index]?.output ?? "out"] ?? path,
        ),
        ...extra.map((other) => made[other]?.outputs["out"] ?? path),
        ...(source && one.source ? [one.source] : []),
      ].filter((reference) => reference !== path);
      const nar = narOf(
        Buffer.from(`${path} in c${world.nodes[node]?.kind === "fixed" ? "" : n} ${references}`),
      );
      const it = withPath(path, nar, [...new Set(references)]);
      return [{ made: it, text: narInfoText(it, undefined) }];
    });
  const prepare = async (worlds: readonly GraphWorld[]) => {
    const at = join(court.folder, "graphs", String(worlds[0]?.number));
    await mkdir(at, { recursive: true });
    const file = join(at, "graphs.nix");
    await writeFile(file, expressionOf(worlds));
    const args = ["--eval", "--read-write-mode", "--strict", "--json", file];
    const all = JSON.parse(await court.machine.nix("nix-instantiate", args)) as Made[][];
    const made = new Map(worlds.map((world, n) => [world, all[n] ?? []]));
    const urls: string[] = [];
    for (const n of CACHES) {
      const directory = join(at, `c${n}`);
      const paths = worlds.flatMap((world) => pathsIn(world, made.get(world) ?? [], n));
      await mkdir(directory);
      await writeCache({ directory, storeDir }, paths);
      urls.push(`file://${directory}?trusted=1&priority=${n + 1}`);
    }
    for (const world of worlds) prepared.set(world, { made, urls });
  };
  const facts = async (world: GraphWorld, made: readonly Made[]) => {
    const signal = AbortSignal.timeout(60_000);
    const caches = urlsOf(world).map((url) =>
      openAt(url, { role: "substituter", storeDir, publicKeys: [], http: court.http }),
    );
    const clock = { now: () => 0, sleep: async () => undefined };
    const described = await describeSubstituters(
      { own: undefined, substituters: caches, nix: undefined, clock },
      signal,
    );
    const finder = new FactFinder(
      new Lookup(
        described.map(({ substituter }) => substituter),
        signal,
      ),
      async (path) => parseDerivation(await readFile(path, "utf8"), path),
    );
    const wanted = world.wanted.map(({ node, outputs }) => ({
      kind: "derivation" as const,
      drvPath: made[node]?.drv as StorePath,
      outputNames: outputs,
    }));
    await Promise.all(wanted.map((one) => finder.explore(one, "until cached")));
    return { finder, wanted };
  };
  const say = (
    build: Iterable<string>,
    fetch: Iterable<string>,
    made: readonly Made[],
    mode: "dry" | "real",
  ) => {
    const sources = new Set(made.map(({ source }) => source));
    const name = (path: string) =>
      path.replace(/^.*\/[0-9a-z]{32}-w\d+-/, "").replace(/\.drv$/, "");
    const built = [...build].map(name).sort();
    if (mode === "real") return built.length === 0 ? "fetches all" : "builds";
    const fetched = [...fetch]
      .filter((path) => !sources.has(path))
      .map(name)
      .sort();
    return `builds ${built.join(" ")}; fetches ${fetched.join(" ")}`;
  };
  /**
   * Whether some path that a cache has refers to one that none has and evaluation does not make; of
   * those paths that may be wanted.
   */
  const hasHole = ({ caches, nodes, wanted }: GraphWorld): boolean => {
    const there = new Set(caches.flat().map(({ node, output }) => `${node} ${output}`));
    const reached = new Set(wanted.flatMap(({ node }) => [node, ...below(nodes, node)]));
    return caches
      .flat()
      .filter(({ node }) => reached.has(node))
      .some(({ node, refers, extra }) =>
        [
          ...refers.flatMap((index) => nodes[node]?.inputs[index] ?? []),
          ...extra.map((other) => ({ node: other, output: "out" })),
        ].some((input) => !there.has(`${input.node} ${input.output}`)),
      );
  };
  const realise = (worlds: readonly GraphWorld[], mode: readonly string[]) => {
    const drvs = worlds.flatMap((world) =>
      world.wanted.map(({ node, outputs }) => `${madeOf(world)[node]?.drv}!${outputs.join(",")}`),
    );
    const [first] = worlds;
    const substituters = first ? urlsOf(first) : [];
    const settings = `substituters = ${substituters.join(" ")}`;
    return court.run("nix-store", ["--realise", ...mode, ...drvs], settings);
  };
  const isOf = ({ number: n }: GraphWorld) => {
    const prefix = `-w${n}-`;
    return (path: string) => path.slice(path.lastIndexOf("/") + 33).startsWith(prefix);
  };
  const saysDry = (world: GraphWorld, text: string) => {
    const { build, fetch } = parseDryRun(text);
    const mine = isOf(world);
    return say([...build].filter(mine), [...fetch].filter(mine), madeOf(world), "dry");
  };
  /** undefined: nothing of it was built. */
  const saysReal = (world: GraphWorld, text: string) => {
    const mine = isOf(world);
    const done = parseRun(text);
    const made = madeOf(world);
    const built = [...done.build].filter(mine);
    // What may not be fetched for itself, and is a reference of what is fetched, Nix plans both to build
    // and to fetch; which of the two comes first is chance, and then the other is left out.
    const fetched = new Set([...done.fetch].filter(mine));
    const overtaken = [...parseDryRun(text).build].filter((path) => {
      const outputs = made.find(({ drv }) => drv === path)?.outputs ?? {};
      return Object.values(outputs).some((output) => fetched.has(output));
    });
    return { built: built.length, said: say([...built, ...overtaken], fetched, made, "real") };
  };
  const isWhole = (world: GraphWorld) =>
    world.wanted.every(({ node, outputs }) =>
      outputs.every((output) => existsSync(madeOf(world)[node]?.outputs[output] ?? "")),
    );
  return {
    name: "graphs",
    usual: 150,
    share: 30,
    always: [
      ...CONTRADICTIONS.flatMap(([what, caches]) => [
        chain(`two caches that part: ${what}`, caches, [1]),
        chain(`two caches that part below: ${what}`, caches, [2]),
      ]),
      ...OVERTAKEN.map(([what, caches]) => chain(what, caches, [2, 1], CHAIN_OF_NEVER)),
      ...Array.from({ length: 20 }, () => create(once)),
    ],
    make: create,
    prepare,
    together: {
      size: 50,
      async nix(worlds) {
        const dry = await realise(
          worlds.filter((world) => !hasHole(world)),
          ["--dry-run"],
        );
        const real = await realise(worlds.filter(hasHole), ["--keep-going"]);
        return worlds.map((world) => {
          if (!hasHole(world)) return dry.code === 0 ? saysDry(world, dry.text) : undefined;
          const { built, said } = saysReal(world, real.text);
          // What was neither built nor is there now failed, and beside others nobody knows of what.
          return built > 0 || isWhole(world) ? said : undefined;
        });
      },
      anew: async (world) => ({ ...world, number: number++ }),
    },
    async nix(world) {
      const mode = hasHole(world) ? [] : ["--dry-run"];
      const { code, text } = await realise([world], mode);
      if (mode.length > 0) {
        return code === 0 ? saysDry(world, text) : `ends with ${code}: ${text.slice(-300)}`;
      }
      if (/: Assertion `.*' failed/.test(text)) return "crashes";
      const { built, said } = saysReal(world, text);
      return code !== 0 && built === 0 ? `ends: ${text.slice(-300)}` : said;
    },
    async ours(world) {
      const made = madeOf(world);
      const { finder, wanted } = await facts(world, made);
      const { build, fetch } = judge(finder, wanted, nothing);
      // Verdicts go by the graph that all targets share; a plan by the judgement. They are to be one.
      const shared = new BuildGraph(finder, nothing).reach(wanted).build;
      const names = (paths: Iterable<string>) => [...paths].sort().join(" ");
      if (names(shared.map(({ drvPath }) => drvPath)) !== names(build.keys())) {
        return `we part: ${names(shared.map(({ drvPath }) => drvPath))} and ${names(build.keys())}`;
      }
      return say(build.keys(), fetch, made, hasHole(world) ? "real" : "dry");
    },
  };
}
