/** Owns the proof that fetching ahead brings what Nix would, and lets nothing in that Nix would not. */

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { fileServer } from "../servers/files.ts";
import { NIX, startJob, type TestJob } from "./job.ts";

/** Three, each referring to the one before. */
const CHAIN = `let
  make = name: input: derivation {
    inherit name input;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo $input > $out" ];
  };
in make "root" (make "stem" (make "leaf" ""))
`;

/** A package built, signed, and in a cache that a web server has; then a machine without it. */
async function served(job: TestJob) {
  const { machine } = job;
  const far = join(machine.root, "far");
  const secret = join(machine.root, "secret.key");
  const publicKey = join(machine.root, "public.key");
  await machine.nix("nix-store", ["--generate-binary-cache-key", "far-1", secret, publicKey]);
  const file = join(machine.root, "chain.nix");
  await writeFile(file, CHAIN);
  const out = (await machine.nix("nix-build", ["--no-out-link", file])).trim();
  const to = `file://${far}?compression=zstd&secret-key=${secret}`;
  await machine.nix("nix", ["copy", "--to", to, out]);
  await machine.forget();
  return { far, out, publicKey: (await readFile(publicKey, "utf8")).trim() };
}

describe(`fetching ahead on ${NIX}`, () => {
  test("a signed closure is staged, taken in and valid; nothing is left on the disk", async () => {
    await using job = await startJob(undefined);
    const { far, out, publicKey } = await served(job);
    await using server = await fileServer(far);
    const inputs = {
      mode: "prefetch",
      cache: "none",
      targets: out,
      substituters: `${server.origin} ${publicKey}`,
    };
    const step = await job.main(inputs);
    expect(step.exitCode).toBe(0);
    expect(step.log).not.toContain("ended early");
    await job.machine.nix("nix-store", ["--check-validity", out]);
    expect(step.building).toEqual([]);
    const nars = server.requests.filter((line) => line.startsWith("GET /nar/"));
    expect(new Set(nars).size).toBe(nars.length);
    const folder = join(job.machine.root, "runner", "nix-cache-preflight", "1");
    const left = await readdir(folder).catch(() => []);
    expect(left.filter((name) => name.startsWith("staging"))).toEqual([]);
  });

  test("a NAR that is not what was signed does not get in", async () => {
    await using job = await startJob(undefined);
    const { far, out, publicKey } = await served(job);
    const [nar = ""] = await readdir(join(far, "nar"));
    await writeFile(join(far, "nar", nar), "not what was signed");
    await using server = await fileServer(far);
    const inputs = {
      mode: "prefetch",
      cache: "none",
      targets: out,
      substituters: `${server.origin} ${publicKey}`,
    };
    const step = await job.main(inputs);
    expect(step.log).toContain("ended early");
    expect(step.annotations.map(({ message }) => message).join("\n")).toContain("could not fetch");
    await expect(job.machine.nix("nix-store", ["--check-validity", out])).rejects.toThrow();
  });
});
