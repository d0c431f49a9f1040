/** Owns the rows `rebuilds`, what a pull request's comparison costs its run, and `forecast`, what was said against what it took. */

import { execFile, execFileSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { payload } from "../../__tests__/support/events.ts";
import { runStage, type StageResult } from "../../scripts/runner.ts";
import { expression } from "../fixture.ts";
import { inTurn, spread } from "../measure.ts";
import { pairResult, type Row } from "../row.ts";
import { generator } from "../shape.ts";
import type { Bench } from "../site.ts";

const run = promisify(execFile);
const DERIVATIONS = 1_700;
/** Deep below, so that much of the graph is built of it. */
const BUMPED = 1_650;

async function commit(workspace: string): Promise<void> {
  const who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
  await run("git", ["add", "."], { cwd: workspace });
  await run("git", [...who, "commit", "-qm", "change"], { cwd: workspace });
}

async function project(bench: Bench, name: string, flake: string): Promise<string> {
  const workspace = bench.folder(name);
  await mkdir(workspace, { recursive: true });
  await writeFile(join(workspace, "flake.nix"), flake);
  await run("git", ["init", "-q"], { cwd: workspace });
  return workspace;
}

async function stage(
  bench: Bench,
  workspace: string,
  event: "push" | "pull_request",
  inputs: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
): Promise<StageResult & { readonly ms: number }> {
  const begun = performance.now();
  const result = await runStage("main", {
    action: resolve("."),
    inputs: { "min-free": "10MB", "key-files": "", ...inputs },
    workspace,
    temp: bench.runnerTemp("of a new job"),
    eventName: event,
    event: JSON.parse(payload(event === "push" ? "push" : "pull_request-own-branch")),
    ref: event === "push" ? "refs/heads/main" : "refs/pull/7/merge",
    environment: { ...bench.environment, ...more },
  });
  const ms = performance.now() - begun;
  if (result.exitCode !== 0) throw new Error(`it ended with ${result.exitCode}\n${result.log}`);
  return { ...result, ms };
}

async function systemOf({ machine }: Bench): Promise<string> {
  const text = await machine.nix("nix-instantiate", ["--eval", "-E", "builtins.currentSystem"]);
  return text.trim().replaceAll('"', "");
}

export const rebuilds: Row = {
  name: "rebuilds",
  length: "short",
  async run(bench) {
    await bench.machine.forget();
    const system = await systemOf(bench);
    const graph = expression(DERIVATIONS).replace("builtins.currentSystem", `"${system}"`);
    const flake = `{ outputs = { self }: { packages."${system}".all = import ./graph.nix; }; }`;
    const workspace = await project(bench, "rebuilds", flake);
    await writeFile(join(workspace, "graph.nix"), graph);
    await commit(workspace);
    const cache = bench.folder("rebuilds-cache");
    const inputs = { mode: "check", cache: `file://${cache}`, targets: ".#all" };
    await stage(bench, workspace, "push", { ...inputs, mode: "prefetch" });
    const kept = bench.folder("rebuilds-ledgers");
    execFileSync("cp", ["-r", join(cache, "memos"), kept]);
    await writeFile(
      join(workspace, "graph.nix"),
      graph.replace(`"package-${BUMPED}-1.`, `"package-${BUMPED}-2.`),
    );
    await commit(workspace);
    let told = "";
    const once = async (what: "with" | "without") => {
      await bench.remove(join(cache, "memos"));
      if (what === "with") execFileSync("cp", ["-r", kept, join(cache, "memos")]);
      const { ms, outputs } = await stage(bench, workspace, "pull_request", inputs);
      if (what === "with") told = outputs["rebuilds"] ?? "";
      return ms;
    };
    const pairs = await inTurn(
      bench.rounds ?? 5,
      () => once("with"),
      () => once("without"),
    );
    const { changed } = JSON.parse(told) as { readonly changed: number };
    if (!(changed > 100)) throw new Error(`it tells of ${changed} derivations`);
    return [
      pairResult(
        "rebuilds",
        `a pull request over ${DERIVATIONS.toLocaleString("en-US")} derivations, ${changed} of them changed: the whole step`,
        "the same step without a ledger to compare with",
        pairs,
        { kind: "none" },
        "the difference is what the comparison costs: goal, under a second",
      ),
    ];
  },
};

const RUNS = 20;

export const forecast: Row = {
  name: "forecast",
  length: "long",
  async run(bench) {
    await bench.machine.forget();
    const system = await systemOf(bench);
    const sleep = execFileSync("sh", ["-c", "command -v sleep"]).toString().trim();
    const random = generator(RUNS);
    const cache = bench.folder("forecast-cache");
    // What it learnt over another network, and built.
    await bench.remove(cache);
    const workspace = await project(bench, "forecast", "{ }");
    const said: number[] = [];
    const ratios: number[] = [];
    for (let n = 0; n < RUNS; n++) {
      const builds = Array.from({ length: 3 + Math.floor(random() * 3) }, (_, at) => ({
        name: `fixture-${"abcdefghijklmnopqrst"[n]}${"uvwxyz"[at]}`,
        // Asleep: what else the machine does takes nothing of it.
        seconds: (1 + random() * 5).toFixed(2),
        // A chain with branches: each needs the one before it, or is free.
        input: at > 0 && random() < 0.5 ? at - 1 : undefined,
      }));
      const inputs = {
        mode: "warm",
        cache: `file://${cache}`,
        targets: ".#*",
        verify: "narinfo",
      };
      let report = "";
      // The first learns what each takes; the second, another version, is forecast.
      for (const version of ["1", "2"]) {
        const lines = builds.map(
          ({ name, seconds, input }, at) =>
            `b${at} = derivation { name = "${name}-${version}"; system = "${system}"; builder = "/bin/sh"; input = ${input === undefined ? '""' : `b${input}`}; args = [ "-c" "${sleep} ${seconds}; echo $input ${version} > $out" ]; };`,
        );
        await writeFile(
          join(workspace, "flake.nix"),
          `{ outputs = { self }: { packages."${system}" = rec { ${lines.join("\n")} }; }; }`,
        );
        await commit(workspace);
        const atOnce = { NIX_CONFIG: `max-jobs = ${1 + (n % 2)}` };
        report = (await stage(bench, workspace, "push", inputs, atOnce)).outputs["report"] ?? "";
      }
      const { forecast: score } = JSON.parse(await readFile(report, "utf8")) as {
        readonly forecast: { readonly seconds: number; readonly took: number };
      };
      said.push(score.seconds * 1000);
      ratios.push(score.took / score.seconds);
    }
    const ratio = spread(ratios);
    return [
      {
        row: "forecast",
        what: `what ${RUNS} runs of three to five builds of 1 to 6 s took, one or two at once, against what was said`,
        peerIs: "what was said before",
        unit: "ms",
        ours: spread(said),
        peer: undefined,
        ratio,
        rounds: RUNS,
        goal: { kind: "none" },
        note: `took over said: ${ratios.map((one) => one.toFixed(2)).join(" ")}`,
      },
    ];
  },
};
