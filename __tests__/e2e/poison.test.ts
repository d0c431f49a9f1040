/** Owns the proof that a poisoned cache is not believed: on real Nix, against a cache that lies over HTTP. */

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { fingerprint, formatNarInfo, parseNarInfo } from "../../src/domain/narinfo.ts";
import { parseSigningKey } from "../../src/domain/signature.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { type PutServer, putServer } from "../servers/put.ts";
import { TOKEN } from "./cachix-job.ts";
import { cached, flake, NIX, startJob, type TestJob, told } from "./job.ts";

const OURS = generateSecretKey("ours-1");
const THEIRS = generateSecretKey("theirs-1");
const publicKey = (secret: string) => parseSigningKey(secret).publicKey.text;

/** A cache that serves `.#leaf` and `.#middle` as Nix itself writes them, signed with our key. */
async function honest(job: TestJob): Promise<PutServer> {
  const { machine, workspace } = job;
  const seed = await startSeed(job);
  const server = await putServer();
  for (const name of await readdir(seed, { recursive: true })) {
    const bytes = await readFile(join(seed, name)).catch(() => undefined);
    if (bytes) server.files.set(`/${name}`, bytes);
  }
  server.files.set("/nix-cache-info", Buffer.from(`StoreDir: ${machine.storeDir}\n`));
  await machine.forget();
  expect(workspace).not.toBe("");
  return server;
}

/** Warmed by an honest run of ours into a folder: the same bytes as over HTTP. */
async function startSeed(job: TestJob): Promise<string> {
  const step = await job.main({ mode: "warm", targets: ".#middle", "signing-key": OURS });
  expect(step.exitCode).toBe(0);
  return job.cache;
}

async function leafOf(job: TestJob): Promise<{ readonly file: string; readonly text: string }> {
  const leaf = (await cached(job.cache)).get("leaf");
  if (!leaf) throw new Error("leaf was not seeded");
  return { file: `/${leaf.file.split("/").at(-1)}`, text: await readFile(leaf.file, "utf8") };
}

interface Poison {
  readonly what: string;
  /** The narinfo in place of the honest one; may change the server's other files. */
  readonly make: (text: string, server: PutServer, storeDir: string) => string;
  /** What the run says of it. */
  readonly said: RegExp;
  /** Found by its text; else only by its bytes. */
  readonly found: "in the narinfo" | "in the NAR";
}

const POISONS: readonly Poison[] = [
  {
    what: "a narinfo signed by nobody",
    make: (text) => text.replace(/^Sig: .*\n/m, ""),
    said: /is not signed/,
    found: "in the narinfo",
  },
  {
    what: "a narinfo signed by an untrusted key",
    make: (text, _, storeDir) => {
      const info = parseNarInfo(text, "leaf", storeDir);
      return formatNarInfo({
        ...info,
        signatures: [parseSigningKey(THEIRS).sign(fingerprint(info))],
      });
    },
    said: /is signed by theirs-1, which Nix does not trust here/,
    found: "in the narinfo",
  },
  {
    what: "a trusted key's name with another key's signature",
    make: (text, _, storeDir) => {
      const info = parseNarInfo(text, "leaf", storeDir);
      const forged = parseSigningKey(THEIRS).sign(fingerprint(info)).replace("theirs-1", "ours-1");
      return formatNarInfo({ ...info, signatures: [forged] });
    },
    said: /has a wrong signature by ours-1/,
    found: "in the narinfo",
  },
  {
    what: "a good narinfo of another path",
    make: (_, server, storeDir) => {
      for (const [file, bytes] of server.files) {
        if (!file.endsWith(".narinfo")) continue;
        const other = parseNarInfo(bytes.toString(), file, storeDir);
        if (other.storePath.endsWith("-middle")) return bytes.toString();
      }
      throw new Error("there is no other path");
    },
    said: /is about .*-middle/,
    found: "in the narinfo",
  },
  {
    what: "a signed narinfo with a NarHash that its NAR lacks",
    make: (text, _, storeDir) => {
      const info = parseNarInfo(text, "leaf", storeDir);
      const lie = { ...info, narHash: narHashOf("another NAR") };
      return formatNarInfo({ ...lie, signatures: [parseSigningKey(OURS).sign(fingerprint(lie))] });
    },
    said: /hash mismatch|NarHash/,
    found: "in the NAR",
  },
];

function narHashOf(text: string) {
  const hex = createHash("sha256").update(text).digest("hex");
  return parseNarInfo(
    `StorePath: /s/${"a".repeat(32)}-x\nURL: nar/x\nCompression: none\nNarHash: sha256:${hex}\nNarSize: 1\n`,
    "made up",
    "/s",
  ).narHash;
}

async function poisoned(job: TestJob, { make }: Poison): Promise<PutServer> {
  const server = await honest(job);
  const { file, text } = await leafOf(job);
  server.files.set(file, Buffer.from(make(text, server, job.machine.storeDir)));
  server.requests.length = 0;
  return server;
}

/** Valid paths: Nix leaves a file on the disk that it refused, and knows nothing of it. */
async function inStore(job: TestJob, name: string): Promise<string[]> {
  const valid = await job.machine.nix("nix-store", ["--dump-db"]);
  return valid.split("\n").filter((line) => line.endsWith(`-${name}`));
}

describe(`a poisoned cache, on ${NIX}`, () => {
  test("an honest one: it is believed, and fetched from", async () => {
    await using job = await startJob(flake("graphs"));
    await using server = await honest(job);
    const step = await job.main({
      targets: ".#leaf",
      cache: "none",
      substituters: `${server.origin} ${publicKey(OURS)}`,
    });
    expect(step.outputs["hit"]).toBe("true");
    expect(await inStore(job, "leaf")).toHaveLength(1);
  });

  test.each(POISONS)("$what: not fetched, no hit, and the cache is named", async (poison) => {
    await using job = await startJob(flake("graphs"));
    await using server = await poisoned(job, poison);
    const step = await job.main({
      targets: ".#leaf",
      cache: "none",
      substituters: `${server.origin} ${publicKey(OURS)}`,
    });
    expect(await inStore(job, "leaf")).toEqual([]);
    expect(step.outputs["hit"]).toBe("false");
    const words = told(step).join("\n");
    expect(words).toMatch(poison.said);
    expect(words).toContain(server.origin);
  });

  test.each(POISONS)("$what, in our own cache: not pushed over and not pinned", async (poison) => {
    await using job = await startJob(flake("graphs"));
    await using server = await poisoned(job, poison);
    const before = new Map(server.files);
    const step = await job.main({
      mode: "warm",
      targets: ".#leaf",
      cache: server.origin,
      token: TOKEN,
      "signing-key": OURS,
      verify: "full",
    });
    expect(step.outputs["hit"]).toBe("false");
    // Where the narinfo tells, it is built here; else nobody asked for the NAR but the proof.
    expect(step.building).toEqual(poison.found === "in the narinfo" ? ["leaf"] : []);
    expect(await inStore(job, "leaf")).toHaveLength(poison.found === "in the narinfo" ? 1 : 0);
    expect(server.requests.filter((line) => line.startsWith("PUT"))).toEqual([]);
    expect(server.files).toEqual(before);
    expect(step.report().pinned).toEqual([]);
    expect(step.report().verified).not.toContainEqual(
      expect.objectContaining({ outcome: "verified" }),
    );
    const words = told(step).join("\n");
    expect(words).toMatch(poison.said);
    expect(words).toContain(server.origin);
  });

  test("force: true, by who was asked to, pushes over it", async () => {
    await using job = await startJob(flake("graphs"));
    const [unsigned] = POISONS;
    if (!unsigned) throw new Error("no poison");
    await using server = await poisoned(job, unsigned);
    const step = await job.main({
      mode: "warm",
      targets: ".#leaf",
      cache: server.origin,
      token: TOKEN,
      "signing-key": OURS,
      force: "true",
    });
    expect(step.report().verified).toMatchObject([{ outcome: "verified" }]);
  });
});
