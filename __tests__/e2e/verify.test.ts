/** Owns verification against a cache that lies, level by level: which lie is told by which outcome. */

import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { type CachedPath, cached, flake, NIX, pins, startJob, type TestJob } from "./job.ts";
import { someOf } from "./slow.ts";

const targets = ".#top";

async function edit(file: string, change: (text: string) => string): Promise<void> {
  const before = await readFile(file, "utf8");
  const after = change(before);
  expect(after).not.toBe(before);
  await chmod(file, 0o644);
  await writeFile(file, after);
}

/** The same number of bytes, one of them another. */
async function flipByte({ nar }: CachedPath): Promise<void> {
  const bytes = await readFile(nar);
  const at = bytes.length - 12; // in the compressed content, past the header
  bytes[at] = (bytes[at] ?? 0) ^ 0x40;
  await chmod(nar, 0o644);
  await writeFile(nar, bytes);
}

async function truncate({ nar }: CachedPath): Promise<void> {
  const bytes = await readFile(nar);
  await chmod(nar, 0o644);
  await writeFile(nar, bytes.subarray(0, bytes.length - 7));
}

const OTHER = `sha256:${"0".repeat(52)}`;

type Outcome = Readonly<Record<"narinfo" | "nar" | "full", string>>;
const all = (outcome: string): Outcome => ({ narinfo: outcome, nar: outcome, full: outcome });

interface Lie {
  readonly name: string;
  readonly tell: (path: CachedPath) => Promise<void>;
  /** What an audit says on the machine that built it. */
  readonly here: Outcome;
  /** And on one that has nothing to compare with, where that is another answer. */
  readonly fresh?: Outcome;
  readonly detail: RegExp;
}

const lies: readonly Lie[] = [
  {
    name: "a byte of the NAR is another",
    tell: flipByte,
    here: { narinfo: "verified", nar: "verified", full: "mismatch" },
    detail: /leaf: its NAR (cannot be unpacked|is not)/,
  },
  {
    name: "the NAR is cut short",
    tell: truncate,
    here: all("mismatch"),
    detail: /leaf: its NAR has \d+ bytes, not \d+/,
  },
  {
    name: "the NAR is gone",
    tell: ({ nar }) => rm(nar),
    here: all("gone"),
    detail: /leaf: its narinfo is served, its NAR is not/,
  },
  {
    name: "the narinfo is gone",
    tell: ({ file }) => rm(file),
    here: all("gone"),
    detail: /leaf: no cache serves it/,
  },
  {
    name: "FileSize is wrong",
    tell: ({ file }) => edit(file, (text) => text.replace(/^FileSize: .*$/m, "FileSize: 5")),
    here: all("mismatch"),
    detail: /leaf: its NAR has \d+ bytes, not 5/,
  },
  {
    name: "FileHash is wrong",
    tell: ({ file }) => edit(file, (text) => text.replace(/^FileHash: .*$/m, `FileHash: ${OTHER}`)),
    here: { narinfo: "verified", nar: "verified", full: "mismatch" },
    detail: /leaf: its NAR is not the file that its FileHash names/,
  },
  {
    name: "NarHash is wrong",
    tell: ({ file }) => edit(file, (text) => text.replace(/^NarHash: .*$/m, `NarHash: ${OTHER}`)),
    here: all("mismatch"),
    fresh: { narinfo: "verified", nar: "verified", full: "mismatch" },
    detail: /leaf: (NarHash is sha256:0+, ours|its NAR is not what its NarHash names)/,
  },
  {
    name: "NarSize is wrong",
    tell: ({ file }) => edit(file, (text) => text.replace(/^NarSize: .*$/m, "NarSize: 8")),
    here: all("mismatch"),
    fresh: { narinfo: "verified", nar: "verified", full: "mismatch" },
    detail:
      /leaf: (NarSize is 8, ours|its NAR is not what its NarHash names|its NAR is longer than its NarSize says)/,
  },
  {
    name: "the narinfo is about another path",
    tell: ({ file }) => edit(file, (text) => text.replace("-leaf", "-loaf")),
    here: all("rejected"),
    detail: /leaf: .*narinfo is about .*-loaf/,
  },
  {
    name: "the narinfo is a login page",
    tell: ({ file }) => edit(file, () => "<html>please log in</html>\n"),
    here: all("rejected"),
    detail: /leaf: .*\.narinfo, line 1: "<html>please log in<\/html>" is not "Name: value"/,
  },
];

async function audit(job: TestJob, verify: string, how = {}): Promise<[string, string]> {
  const step = await job.main({ mode: "audit", targets, verify, ...how });
  expect(step.exitCode).toBe(0);
  const [top, ...more] = step.report().verified;
  expect(more).toEqual([]);
  return [top?.outcome ?? "", top?.detail ?? ""];
}

describe(`verification, on ${NIX}`, () => {
  // One of each answer; what is read of a narinfo is held in __tests__/caches, name by name.
  const some = someOf(
    lies.map(({ name }) => name),
    [
      "a byte of the NAR is another",
      "the NAR is gone",
      "the narinfo is gone",
      "NarHash is wrong",
      "the narinfo is a login page",
    ],
  );
  test.each(lies.filter(({ name }) => some.includes(name)))(
    "$name",
    async ({ tell, here, fresh, detail }) => {
      await using job = await startJob(flake("graphs"));
      await job.main({ mode: "warm", targets, pin: "off" });
      const leaf = (await cached(job.cache)).get("leaf");
      if (!leaf) throw new Error("the leaf was not pushed");
      await tell(leaf);
      const look = async (expected: Outcome) => {
        for (const [level, outcome] of Object.entries(expected)) {
          const [found, why] = await audit(job, level);
          expect([level, found]).toEqual([level, outcome]);
          if (outcome !== "verified") expect(why).toMatch(detail);
        }
      };
      await look(here);
      if (fresh) {
        await job.machine.forget();
        await look(fresh);
      }
      expect(await pins(job.cache)).toEqual({});
    },
  );

  test("a warming run mends what it can see, and pins it then", async () => {
    await using job = await startJob(flake("graphs"));
    await job.main({ mode: "warm", targets, pin: "off" });
    const leaf = (await cached(job.cache)).get("leaf");
    if (!leaf) throw new Error("the leaf was not pushed");
    await truncate(leaf);
    const warm = await job.main({ mode: "warm", targets, verify: "full" });
    expect(warm.report().verified).toMatchObject([{ outcome: "verified" }]);
    expect(Object.keys(await pins(job.cache))).toEqual(["top-x86_64-linux"]);
  });

  test("a mismatch is not pinned, and is not mended behind the user's back", async () => {
    await using job = await startJob(flake("graphs"));
    await job.main({ mode: "warm", targets, pin: "off" });
    const leaf = (await cached(job.cache)).get("leaf");
    if (!leaf) throw new Error("the leaf was not pushed");
    await flipByte(leaf);
    const inputs = { mode: "warm", targets, verify: "full", "fail-on": "unverified" };
    const warm = await job.main(inputs);
    expect(warm.exitCode).toBe(1);
    expect(warm.report().verified).toMatchObject([{ outcome: "mismatch" }]);
    expect(await pins(job.cache)).toEqual({});
    const forced = await job.main({ ...inputs, force: "true" });
    expect(forced.exitCode).toBe(0);
    expect(forced.report().verified).toMatchObject([{ outcome: "verified" }]);
    expect(Object.keys(await pins(job.cache))).toEqual(["top-x86_64-linux"]);
  });

  test("a cache that signs: unsigned and wrongly signed paths are rejected", async () => {
    await using job = await startJob(flake("graphs"));
    const key = async (name: string) => {
      const [secret, open] = ["secret", "public"].map((kind) =>
        join(job.machine.root, `${name}.${kind}`),
      );
      await job.machine.nix("nix-store", [
        "--generate-binary-cache-key",
        name,
        secret ?? "",
        open ?? "",
      ]);
      return { "signing-key": await readFile(secret ?? "", "utf8") };
    };
    const ours = await key("ours-1");
    const theirs = await key("theirs-1");
    const signed = await job.main({ mode: "warm", targets, pin: "off", ...ours });
    expect(signed.report().verified).toMatchObject([{ outcome: "verified" }]);
    expect(signed.log).not.toContain(ours["signing-key"].split(":")[1]);
    expect(await audit(job, "full", ours)).toEqual(["verified", ""]);
    // A machine that trusts another key only: the root itself is not to be believed.
    await job.machine.forget();
    const [outcome, why] = await audit(job, "narinfo", theirs);
    expect(outcome).toBe("rejected");
    expect(why).toMatch(/is signed by ours-1, which Nix does not trust here/);
    const leaf = (await cached(job.cache)).get("leaf");
    await edit(leaf?.file ?? "", (text) => text.replace(/^Sig: .*\n/m, ""));
    expect(await audit(job, "narinfo", ours)).toEqual([
      "rejected",
      expect.stringMatching(/leaf: .*narinfo is not signed/),
    ]);
  });

  test("another substituter's path is upstream only: looked at, and no failure", async () => {
    await using job = await startJob(flake("graphs"));
    await job.main({ mode: "warm", targets: ".#top pin=top" });
    const substituter = join(job.machine.root, "substituter");
    await job.machine.nix("cp", ["-r", job.cache, substituter]);
    await rm((await cached(job.cache)).get("top")?.file ?? "");
    const substituters = `file://${substituter}?trusted=1`;
    const step = await job.main({ mode: "audit", targets: ".#top pin=top", substituters });
    expect(step.exitCode).toBe(0);
    expect(step.report().verified).toMatchObject([{ outcome: "upstream only" }]);
  });
});

test("what is pushed says of a path what nix copy says: its content address, and every signature", async () => {
  await using job = await startJob(flake("graphs"));
  const { root, nix } = job.machine;
  const command = (...args: string[]) =>
    nix("nix", ["--extra-experimental-features", "nix-command", ...args]);
  await job.main({ mode: "warm", targets: ".#fetch\n.#leaf" });
  const paths = [...(await cached(job.cache)).values()].map(
    ({ fields }) => fields["StorePath"] ?? "",
  );
  const secret = (await command("key", "generate-secret", "--key-name", "somebody-1")).trim();
  await writeFile(join(root, "somebody.key"), secret);
  await command("store", "sign", "--key-file", join(root, "somebody.key"), ...paths);
  await command("copy", "--to", `file://${root}/by-nix`, ...paths);
  await job.main({ mode: "warm", targets: ".#fetch\n.#leaf", force: "true" });
  const ours = await cached(job.cache);
  const theirs = await cached(join(root, "by-nix"));
  for (const name of ["source.tar.gz", "leaf"]) {
    const [mine, nixs] = [ours.get(name)?.fields ?? {}, theirs.get(name)?.fields ?? {}];
    expect(nixs["Sig"]).toMatch(/^somebody-1:/);
    for (const field of ["CA", "Sig", "References", "Deriver", "NarHash", "NarSize"]) {
      expect(`${name} ${field} ${mine[field]}`).toBe(`${name} ${field} ${nixs[field]}`);
    }
  }
  expect(ours.get("source.tar.gz")?.fields["CA"]).toMatch(/^fixed:sha256:/);
});
