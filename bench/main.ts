/**
 * `npm run bench [-- NAME… | --all] [--rounds N] [--network tls|plain] [--write]`: without names, every row that
 * does not take long; without a network, over both. `--write` puts the last of every row that was measured on this
 * machine, with this Nix and this Node, into docs/speed.md and README.md; a row of another day says so. The peer is the
 * Nix in $BENCH_NIX (a folder), else the one on PATH.
 */

import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { delimiter } from "node:path";
import { parseArgs } from "node:util";
import type { LoadedResult } from "./row.ts";
import { ROWS } from "./rows/index.ts";
import { Bench, NETWORKS } from "./site.ts";
import { type Circumstances, headlines, table, writeInto } from "./table.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    rounds: { type: "string" },
    network: { type: "string" },
  },
});
const unknown = positionals.filter((name) => !ROWS.some((row) => row.name === name));
if (unknown.length > 0) {
  console.error(
    `no such row: ${unknown.join(", ")}; there are ${ROWS.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}
// biome-ignore-start lint/style/noProcessEnv: the peer is chosen by the environment, and so is the Nix of ours
const folder = process.env["BENCH_NIX"];
if (folder) process.env["PATH"] = `${folder}${delimiter}${process.env["PATH"] ?? ""}`;
// biome-ignore-end lint/style/noProcessEnv: the end of it

const chosen = ROWS.filter(({ name, length }) =>
  positionals.length > 0 ? positionals.includes(name) : values.all || length === "short",
);
await using bench = await Bench.start(values.rounds ? Number(values.rounds) : undefined);
const where: Circumstances = {
  processor: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memoryBytes: totalmem(),
  nixVersion: bench.nixVersion,
  nodeVersion: process.versions.node,
};
const date = new Date().toISOString().slice(0, 10);
await mkdir("bench-out", { recursive: true });
const records = "bench-out/results.jsonl";
const results: LoadedResult[] = [];
const wanted = { tls: ["TLS + HTTP/2"], plain: ["plain HTTP"] } as const;
const networks = wanted[values.network as keyof typeof wanted] ?? NETWORKS;
for (const [row, network] of chosen.flatMap((row) => networks.map((one) => [row, one] as const))) {
  console.error(`bench: ${row.name}, ${network}, against Nix ${bench.nixVersion}`);
  bench.network = network;
  const [load = 0] = loadavg();
  for (const measured of await row.run(bench)) {
    const result = { ...measured, load, network, date };
    results.push(result);
    await appendFile(records, `${JSON.stringify({ ...where, ...result })}\n`);
  }
}
console.log(table(results, where));
await writeFile("bench-out/table.md", table(await latest(), where));
if (values.write) {
  await writeInto("docs/speed.md", table(await latest(), where));
  await writeInto("README.md", headlines(await latest(), where));
}

/** The last result of every row measured on this machine with this Nix and this Node, in the rows' order. */
async function latest(): Promise<LoadedResult[]> {
  const found = new Map<string, LoadedResult>();
  for (const line of (await readFile(records, "utf8")).trim().split("\n")) {
    const record = JSON.parse(line) as LoadedResult & Circumstances;
    // Records from before the processor was one of them do not name it.
    const isSame = Object.entries(where).every(
      ([name, value]) => (record[name as keyof Circumstances] ?? value) === value,
    );
    if (isSame) found.set(`${record.row} ${record.network}`, record);
  }
  const order = ROWS.map(({ name }) => name);
  const place = ({ row }: LoadedResult) => order.findIndex((name) => row.startsWith(name));
  return [...found.values()].sort((a, b) => place(a) - place(b));
}
