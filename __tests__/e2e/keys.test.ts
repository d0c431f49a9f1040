/** Owns keys, outputs, summary and annotations: what other steps and people get of a run. */

import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { faultsOf, headlinesOf } from "../support/page-rules.ts";
import { cached, flake, HOME, NIX, NIXPKGS, startJob, told } from "./job.ts";

/** What a shell step computes for itself. */
async function shell(folder: string, file: string): Promise<string> {
  const command = `sha256sum ${file} | head -c 16`;
  return (await promisify(execFile)("/bin/sh", ["-c", command], { cwd: folder })).stdout;
}

describe(`keys, on ${NIX}`, () => {
  test("are byte for byte those of sha256sum FILE | head -c 16, with suffixes and restore keys", async () => {
    await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
    await writeFile(join(job.workspace, "Cargo.lock"), "# no newline at the end \u00e9");
    const inputs = {
      mode: "check",
      targets: ".#hello",
      "key-suffix": "Linux\ncontainer-ollama-amd64",
    };
    const { outputs } = await job.main(inputs);
    const flakeLock = await shell(job.workspace, "flake.lock");
    const cargoLock = await shell(job.workspace, "Cargo.lock");
    expect(flakeLock).toMatch(/^[0-9a-f]{16}$/);
    const base = `preflight-v1-deps-${flakeLock}-${cargoLock}`;
    expect(outputs["cache-key"]).toBe(`${base}-Linux-container-ollama-amd64`);
    expect(outputs["restore-keys"]?.split("\n")).toEqual([
      `${base}-Linux`,
      base,
      `preflight-v1-deps-${flakeLock}`,
      "preflight-v1-deps",
    ]);
    expect(JSON.parse(outputs["hashes"] ?? "")).toEqual({
      "flake.lock": flakeLock,
      "Cargo.lock": cargoLock,
    });
  });

  test("a missing file is named, and its place is none; globs are in order", async () => {
    await using job = await startJob(undefined);
    for (const name of ["b", "a"]) {
      await mkdir(join(job.workspace, name));
      await writeFile(join(job.workspace, name, "go.sum"), `of ${name}\n`);
    }
    const inputs = { mode: "check", "key-files": "**/go.sum\nflake.lock", "key-prefix": "mine" };
    const step = await job.main(inputs);
    const [a, b] = [await shell(job.workspace, "a/go.sum"), await shell(job.workspace, "b/go.sum")];
    expect(step.outputs["cache-key"]).toBe(`mine-deps-${a}-${b}-none`);
    expect(JSON.parse(step.outputs["hashes"] ?? "")).toEqual({
      "a/go.sum": a,
      "b/go.sum": b,
      "flake.lock": null,
    });
    expect(told(step)).toContainEqual(expect.stringMatching(/^notice: flake\.lock: no such file/));
  });
});

describe(`what a run leaves, on ${NIX}`, () => {
  test("every output of action.yml, each legal", async () => {
    await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
    const targets = ".#homeConfigurations.*.activationPackage\nnixpkgs#hello pin=hello";
    await job.main({ mode: "warm", targets: "nixpkgs#hello pin=hello" });
    const { outputs } = await job.main({ mode: "check", targets, heavy: "bws" });
    const action = parse(await readFile("action.yml", "utf8")) as { outputs: object };
    expect(Object.keys(outputs).sort()).toEqual(Object.keys(action.outputs).sort());
    expect(outputs).toMatchObject({ "read-only": "false", hit: "false", "hit-rate": "0.25" });
    expect(outputs["any-missing"]).toBe("true");
    const json = (name: string) => JSON.parse(outputs[name] ?? "");
    const homes = ["alice", "bob", "carol"].map(
      (n) => `.#homeConfigurations.${n}.activationPackage`,
    );
    expect(Object.keys(json("verdicts"))).toEqual([...homes, "nixpkgs#hello"]);
    expect(json("verdicts")["nixpkgs#hello"]).toMatchObject({ kind: "own" });
    expect(json("missing").map(({ name }: { name: string }) => name)).toEqual([
      "bws-1.0.0",
      "bws-deps-1.0.0",
    ]);
    // All three lack bws: one job builds it.
    expect(json("matrix").include).toHaveLength(1);
    expect(json("matrix").include[0].targets.split("\n")).toHaveLength(3);
    expect(json("matrix").include[0]["runs-on"]).toBe("ubuntu-latest");
    expect(json("changed")).toEqual(homes);
    expect(Object.keys(json("store-paths"))).toEqual([...homes, "nixpkgs#hello"]);
    expect(json("store-paths")["nixpkgs#hello"]).toBe(
      (await cached(job.cache)).get("hello-2.12")?.fields["StorePath"],
    );
    expect(Number(outputs["bytes-free"])).toBeGreaterThan(0);
    expect(outputs["bytes-needed"]).toMatch(/^\d+$/);
    expect(resolve(outputs["report"] ?? "")).toBe(outputs["report"]);
  });

  test("a summary that says the one thing first, and what was done", async () => {
    await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
    const targets = ".#homeConfigurations.*.activationPackage";
    const check = await job.main({ mode: "check", targets, heavy: "bws" });
    expect(headlinesOf(check.summary)).toEqual(["all 3 targets need a build"]);
    const warm = await job.main({ mode: "warm", targets });
    expect(headlinesOf(warm.summary)).toEqual(["all 3 targets are now cached"]);
    expect(warm.summary).toContain("All 3 targets were read back from there, verified and pinned.");
    expect(warm.annotations).toEqual([]);
    const fresh = await job.main({ mode: "check", targets });
    expect(headlinesOf(fresh.summary)).toEqual(["all 3 targets are cached"]);
    expect(fresh.annotations).toEqual([]);
    for (const { summary, log } of [check, warm, fresh]) {
      expect(faultsOf(summary)).toEqual([]);
      expect(log.trimEnd().split("\n").at(-1)).toMatch(/^Nix cache: all 3 targets .*s$/);
    }
  });

  test("one annotation for one cause, however much it befell", async () => {
    await using job = await startJob(flake("graphs"));
    const step = await job.main({ mode: "check", "fail-on": "missing" });
    expect(step.exitCode).toBe(1);
    const errors = step.annotations.filter(({ level }) => level === "error");
    expect(errors.length).toBeLessThanOrEqual(3);
    expect(errors[0]?.message).toMatch(/ and \d+ more are in no binary cache/);
  });

  test("what a flake prints cannot speak to the runner", async () => {
    await using job = await startJob(flake("members"));
    const file = join(job.workspace, "flake.nix");
    const text = await readFile(file, "utf8");
    const spell = "::set-output name=hit::true\\n::error title=x::y <b>|</b>";
    await writeFile(file, text.replace("this one throws on purpose", spell));
    const step = await job.main({ mode: "check", targets: ".#throws" });
    expect(step.exitCode).toBe(1);
    expect(step.outputs["hit"]).toBe("false");
    expect(step.annotations.filter(({ level }) => level === "error")).toHaveLength(1);
    expect(step.raw).not.toMatch(/^\s*::(set-output|error title=x)/m);
    // What Nix said stands in a fence, as it is.
    expect(step.summary.replace(/^```\n[\s\S]*?^```$/m, "")).not.toContain("<b>");
  });
});
