/** Owns servers that are hard to get answers from: the run completes, brings all, and says why it took longer. */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import { type FileServer, fileServer } from "../servers/files.ts";
import { resetting } from "../servers/resetting.ts";
import { NIX, type Step, startJob, type TestJob, told } from "./job.ts";

/** A root that refers to forty others. */
const FAN = `let
  make = name: input: derivation {
    inherit name input;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo $input > $out" ];
  };
in make "root" (map (n: make "leaf-\${toString n}" "") (builtins.genList (n: n) 40))
`;
const PATHS = 41;

interface Far extends AsyncDisposable {
  readonly job: TestJob;
  readonly server: FileServer;
  readonly drv: string;
  readonly root: string;
  /** Prefetches the root from where the cache is said to be. */
  prefetch(origin?: string): Promise<Step>;
}

async function far(): Promise<Far> {
  const job = await startJob(undefined);
  const { machine } = job;
  const folder = join(machine.root, "far");
  const [secret, publicKey] = [join(machine.root, "secret.key"), join(machine.root, "public.key")];
  await machine.nix("nix-store", ["--generate-binary-cache-key", "far-1", secret, publicKey]);
  const file = join(machine.root, "fan.nix");
  await writeFile(file, FAN);
  const root = (await machine.nix("nix-build", ["--no-out-link", file])).trim();
  const to = `file://${folder}?compression=zstd&secret-key=${secret}`;
  await machine.nix("nix", ["copy", "--to", to, root]);
  await machine.forget();
  const drv = (await machine.nix("nix-instantiate", [file])).trim();
  const server = await fileServer(folder);
  const key = (await readFile(publicKey, "utf8")).trim();
  return {
    job,
    server,
    drv,
    root,
    prefetch: (origin = server.origin) =>
      job.main({
        mode: "prefetch",
        cache: "none",
        targets: root,
        substituters: `${origin} ${key}`,
      }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await job[Symbol.asyncDispose]();
    },
  };
}

/** All is here, and the run told why it took longer; what that was stands in `words`. */
async function expectDone({ job, root }: Far, step: Step, words: RegExp): Promise<void> {
  expect([step.exitCode, step.outputs["hit"]]).toEqual([0, "true"]);
  const closure = await job.machine.nix("nix-store", ["--query", "--requisites", root]);
  expect(closure.trim().split("\n")).toHaveLength(PATHS);
  expect(step.building).toEqual([]);
  const said = expect.stringMatching(words);
  expect(told(step)).toContainEqual(said);
  expect(step.log).toMatch(words);
  expect(step.report().findings.map(({ message }) => message)).toContainEqual(said);
}

describe(`a server that is hard to get answers from, on ${NIX}`, () => {
  test("slow for some paths: these are waited for", async () => {
    await using at = await far();
    let asked = 0;
    at.server.instead = async (path) => {
      if (path.endsWith(".narinfo") && ++asked % 20 === 0) await wait(3_500);
      return undefined;
    };
    await expectDone(at, await at.prefetch(), /was hard to get .*2 answers took longer than 3\.0s/);
  });

  test("429 for half of what is asked: asked again, and fewer at once", async () => {
    await using at = await far();
    let asked = 0;
    at.server.instead = () => (++asked % 2 === 0 ? { status: 429 } : undefined);
    await expectDone(at, await at.prefetch(), /was hard to get .*\d+ × HTTP 429/);
  });

  test("every tenth connection is reset: its request is made again", async () => {
    await using at = await far();
    await using middle = await resetting(at.server.port, 10);
    const step = await at.prefetch(middle.origin);
    expect(middle.resets).toBeGreaterThan(0);
    await expectDone(at, step, /was hard to get .*\d+ × connection closed/);
  });

  test("one path that it never gives: that one is unknown, and the others are not", async () => {
    await using at = await far();
    const stuck = /^\/([0-9a-z]{32})\.narinfo$/;
    let first: string | undefined;
    at.server.instead = (path) => {
      if (!stuck.test(path) || path.includes(at.root.split("/").at(-1)?.slice(0, 32) ?? "")) return;
      first ??= path;
      return path === first ? { status: 500 } : undefined;
    };
    const step = await at.prefetch();
    expect(step.outputs["hit"]).toBe("false");
    expect(step.report().caches).toEqual([
      expect.objectContaining({ asked: PATHS, hits: PATHS - 1, unknown: 1 }),
    ]);
    expect(step.log).toMatch(/\d+ × HTTP 500/);
  });

  test("a server without trouble is not spoken of", async () => {
    await using at = await far();
    const step = await at.prefetch();
    expect(step.exitCode).toBe(0);
    expect(step.log).not.toContain("hard to get");
  });
});
