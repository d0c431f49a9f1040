/** Owns the proof that fetching ahead brings what Nix would and lets nothing in that Nix would not, and that caches are connected to before Nix has answered. */

import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { folderOf } from "../../src/host/programs.ts";
import { fileServer } from "../servers/files.ts";
import { http2Server, reply } from "../servers/http2.ts";
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

test(`a cache of the inputs is connected to before ${NIX} has said how it is set up`, async () => {
  await using job = await startJob(undefined);
  const { machine } = job;
  const seen = join(machine.root, "seen");
  const info = `StoreDir: ${machine.storeDir}\n`;
  await using server = await http2Server((stream, { ":path": path }) =>
    path === "/nix-cache-info" ? reply(stream, info) : reply(stream, "", 404),
  );
  const watching = setInterval(() => {
    if (server.sessions.length > 0) void writeFile(seen, "");
  }, 10);
  try {
    const path = machine.environment["PATH"] ?? "";
    const bin = join(machine.root, "late");
    await mkdir(bin);
    for (const name of ["nix", "nix-instantiate"]) {
      const script = `#!/bin/sh
n=0
while [ ! -e ${seen} ]; do n=$((n + 1)); [ $n -lt 300 ] || { echo "nobody connected" >&2; exit 1; }; sleep 0.1; done
exec ${folderOf(name, path)}/${name} "$@"
`;
      await writeFile(join(bin, name), script);
      await chmod(join(bin, name), 0o755);
    }
    const { NIX_SSL_CERT_FILE: file = "" } = server.environment;
    // One of Node's own: whose certificates Nix accepts it has not said yet.
    const certificates = { ...server.environment, NODE_EXTRA_CA_CERTS: file };
    const environment = { ...machine.environment, ...certificates, PATH: `${bin}:${path}` };
    const target = `${machine.storeDir}/${"0".repeat(32)}-absent`;
    const inputs = {
      mode: "check",
      cache: "none",
      targets: target,
      substituters: server.at("/").href,
    };
    const step = await job.main(inputs, { environment });
    expect([step.exitCode, step.log]).toEqual([0, expect.not.stringContaining("nobody connected")]);
    expect(server.requests).toEqual(["GET /nix-cache-info", `GET /${"0".repeat(32)}.narinfo`]);
    expect(server.sessions).toHaveLength(1);
  } finally {
    clearInterval(watching);
  }
});
