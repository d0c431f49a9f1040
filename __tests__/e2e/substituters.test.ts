/** Owns the proof that a cache that is dead, slow or lying costs little, misleads nobody, and is named. */

import { readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { flake, NIX, type Report, type Step, startJob, type TestJob, told } from "./job.ts";
import { messages, parseDryRun, parseRun } from "./real-nix.ts";
import {
  cacheServer,
  change,
  copyCache,
  deadOrigin,
  fillCache,
  type Key,
  LOGIN_PAGE,
  makeKey,
  narInfoFile,
  silentServer,
} from "./substituter-site.ts";

const TARGETS = ".#good\n.#other";

interface Site extends AsyncDisposable {
  readonly job: TestJob;
  readonly key: Key;
  /** Holds both, signed by the key. */
  readonly directory: string;
}

async function site(): Promise<Site> {
  const job = await startJob(flake("members"), { defaults: { targets: TARGETS, cache: "none" } });
  const key = await makeKey(job.machine, "lan-1");
  const directory = await fillCache(job, "lan", ["good", "other"], key);
  return { job, key, directory, [Symbol.asyncDispose]: () => job[Symbol.asyncDispose]() };
}

function substituterOf(report: Report, origin: string) {
  const found = report.caches.find(({ name }) => name === origin);
  if (!found) throw new Error(`${origin} is not among ${report.caches.map(({ name }) => name)}`);
  return found;
}

function verdicts(step: Step): Record<string, { kind: string; source?: string[] }> {
  return JSON.parse(step.outputs["verdicts"] ?? "{}");
}

function planned({ fresh }: Report) {
  return { build: [...fresh.build].sort(), fetch: [...fresh.fetch].sort() };
}

/** What the real Nix does for both targets on a fresh machine, told of these caches. */
async function realRun({ job, key }: Site, report: Report, urls: readonly string[]) {
  await job.machine.forget();
  for (const { name } of report.targets) {
    await job.machine.nix("nix", ["eval", "--raw", `${name}.drvPath`], job.workspace);
  }
  const drvs = report.targets.map(({ drvPath }) => drvPath ?? "");
  const options = ["--option", "substituters", urls.join(" ")];
  const keys = ["--option", "trusted-public-keys", key.public];
  return parseRun(await messages(job.machine, "nix-store", ["-r", ...drvs, ...options, ...keys]));
}

/** The drv files stay, the outputs go: then a step asks Nix what it would do, as it is configured now. */
async function dryRun({ job }: Site, step: Step) {
  const report = step.report();
  const outputs = report.targets.flatMap((target) => target.outputs ?? []);
  // As at the end of the job: what the run fetched is rooted until then.
  const uses = join(job.machine.root, "runner", "nix-cache-preflight");
  for (const use of await readdir(uses)) {
    await rm(join(uses, use, "gc-roots"), { recursive: true, force: true });
  }
  await job.machine.nix("nix-store", ["--delete", ...outputs]).catch(() => "");
  const drvs = report.targets.map(({ drvPath }) => drvPath ?? "");
  // What the step left for later ones: where its configuration is.
  const environment = { ...job.machine.environment, ...step.environment };
  const text = await messages({ ...job.machine, environment }, "nix-store", [
    "-r",
    "--dry-run",
    ...drvs,
  ]);
  return parseDryRun(text);
}

describe(`substituters, on ${NIX}`, () => {
  test("the first by priority that has a path wins, as with Nix; one that says none comes before all", async () => {
    await using here = await site();
    const { job, key, directory } = here;
    const copies = await Promise.all(
      ["silent", "ten", "forty"].map((name) => copyCache(directory, name)),
    );
    const [none = "", ten = "", forty = ""] = copies;
    for (const [copy, line] of [
      [none, ""],
      [ten, "Priority: 10\n"],
      [forty, "Priority: 40\n"],
    ] as const) {
      await change(
        join(copy, "nix-cache-info"),
        (text) => text.replace(/^Priority:.*\n/m, "") + line,
      );
    }
    await using servers = new AsyncDisposableStack();
    const [unsaid, second, last] = await Promise.all(
      [none, ten, forty].map(async (copy) => servers.use(await cacheServer(copy))),
    );
    const urls = [last, second, unsaid].map((server) => server?.origin ?? "");
    const substituters = urls.map((url) => `${url} ${key.public}`).join("\n");
    const step = await job.main({ mode: "check", substituters });
    expect(step.exitCode).toBe(0);
    expect(step.report().caches.map(({ name, priority }) => [name, priority])).toEqual([
      [unsaid?.origin, 0],
      [second?.origin, 10],
      [last?.origin, 40],
    ]);
    expect(verdicts(step)[".#good"]).toMatchObject({
      kind: "upstream",
      caches: [unsaid?.origin],
    });
    await job.machine.forget();
    const [path = ""] = planned(step.report()).fetch;
    const options = ["--option", "substituters", urls.join(" ")];
    const keys = ["--option", "trusted-public-keys", key.public];
    const log = await messages(job.machine, "nix-store", ["-r", path, ...options, ...keys]);
    expect(log).toContain(`from '${unsaid?.origin}'`);
  });

  test("what each is worth stands in the log and the report", async () => {
    await using here = await site();
    const { job, key, directory } = here;
    await using lan = await cacheServer(directory);
    const dead = await deadOrigin();
    const step = await job.main({
      mode: "check",
      substituters: `${dead}\n${lan.origin} ${key.public}`,
    });
    expect(step.exitCode).toBe(0);
    const substituter = substituterOf(step.report(), lan.origin);
    expect(substituter).toMatchObject({
      reachable: true,
      error: null,
      asked: 2,
      hits: 2,
      priority: 0,
    });
    expect(substituter.milliseconds).toBeGreaterThanOrEqual(0);
    expect(substituter.bytes).toBeGreaterThan(100);
    expect(substituterOf(step.report(), dead)).toMatchObject({
      reachable: false,
      hits: 0,
      bytes: 0,
    });
    expect(step.log).toMatch(
      new RegExp(
        `${lan.origin}: reachable, answers in \\d+ ms, priority 0: 2 of 2 paths \\(\\d+ B\\)`,
      ),
    );
    expect(step.log).toContain(`${dead}: did not answer: `);
  });

  test("a LAN cache that is off is a notice, and what nobody else has is built, as Nix does", async () => {
    await using here = await site();
    const { job } = here;
    const dead = await deadOrigin();
    const step = await job.main({ mode: "warm", substituters: dead });
    expect(step.exitCode).toBe(0);
    expect(told(step).filter((line) => line.includes(dead))).toEqual([
      expect.stringMatching(/^notice: .* did not answer: .*ECONNREFUSED/),
    ]);
    // It may have them: that is not known, and not waited for either.
    expect(verdicts(step)).toMatchObject({ ".#good": { kind: "unknown" } });
    expect([...step.building].sort()).toEqual(["good-1", "other-1"]);
    expect(step.outputs["any-missing"]).toBe("false");
  });

  test("a silent one costs its deadline once, and Nix is never told of it", async () => {
    await using here = await site();
    const { job, key, directory } = here;
    await using lan = await cacheServer(directory);
    await using silent = await silentServer();
    const step = await job.main({
      mode: "prefetch",
      substituters: `${silent.origin}\n${lan.origin} ${key.public}`,
    });
    expect(step.exitCode).toBe(0);
    expect(silent.asked()).toBe(1);
    expect(told(step)).toContainEqual(
      expect.stringMatching(new RegExp(`^(notice|warning): ${silent.origin} did not answer`)),
    );
    expect(step.outputs["hit"]).toBe("true");
    expect(step.report().fetched.paths).toBe(2);
    // A later step asks the others alone, and at once.
    expect(await dryRun(here, step)).toEqual(planned(step.report()));
    expect(silent.asked()).toBe(1);
  });

  test("one that Nix is configured with and that is silent is not waited for by our own calls", async () => {
    await using silent = await silentServer();
    await using job = await startJob(flake("members"), {
      configuration: `substituters = ${silent.origin}`,
      defaults: { targets: ".#good" },
    });
    const step = await job.main({ mode: "warm", force: "true" });
    expect(step.exitCode).toBe(0);
    expect(step.building).toEqual(["good-1"]);
    expect(silent.asked()).toBe(1);
  });

  test("one that is slow for some paths is asked nothing more: these are unknown, never missing", async () => {
    await using here = await site();
    const { job, key, directory } = here;
    await using lan = await cacheServer(directory);
    const slow = basename(await narInfoFile(directory, "other-1"));
    lan.instead = (path) => (path.includes(slow) ? "hang" : undefined);
    const step = await job.main({ mode: "warm", substituters: `${lan.origin} ${key.public}` });
    expect(step.exitCode).toBe(0);
    expect(verdicts(step)).toMatchObject({
      ".#good": { kind: "upstream", caches: [lan.origin] },
      ".#other": { kind: "unknown" },
    });
    expect(step.building).toEqual([]);
    expect(substituterOf(step.report(), lan.origin)).toMatchObject({
      reachable: true,
      hits: 1,
      unknown: 1,
      error: expect.stringContaining("no answer within 15 s"),
    });
    expect(told(step)).toContainEqual(
      expect.stringMatching(/^warning: nothing was built for \.#other, .*no answer within 15 s/),
    );
    expect(step.summary).toContain("1 of 2 targets could not be checked, one cache is down");
  });

  test("one for another store folder is named and not counted: Nix does without it, too", async () => {
    await using here = await site();
    const { job, key, directory } = here;
    await change(join(directory, "nix-cache-info"), (text) =>
      text.replace(/^StoreDir:.*$/m, "StoreDir: /another/store"),
    );
    await using lan = await cacheServer(directory);
    const step = await job.main({ mode: "check", substituters: `${lan.origin} ${key.public}` });
    expect(step.exitCode).toBe(0);
    expect(verdicts(step)[".#good"]).toMatchObject({ kind: "missing", source: ["good-1"] });
    expect(told(step)).toContainEqual(
      expect.stringContaining(`is not used: ${lan.origin} is for the store /another/store`),
    );
    expect(await realRun(here, step.report(), [lan.origin])).toEqual(planned(step.report()));
  });

  test.each<[string, (here: Site) => Promise<string>, RegExp]>([
    [
      "signed by a key that nobody trusts",
      async ({ job, directory }) => {
        const stranger = await makeKey(job.machine, "stranger-1");
        const theirs = await fillCache(job, "theirs", ["other"], stranger);
        const [file, other] = [
          await narInfoFile(directory, "other-1"),
          await narInfoFile(theirs, "other-1"),
        ];
        const sig = /^Sig: .*$/m.exec(await readFile(other, "utf8"))?.[0] ?? "";
        await change(file, (text) => text.replace(/^Sig: .*$/m, sig));
        return file;
      },
      /is signed by stranger-1, which Nix does not trust here/,
    ],
    [
      "signed by another key of the same name",
      async ({ job, directory }) => {
        const forger = await makeKey(job.machine, "lan-1", "forger");
        const theirs = await fillCache(job, "forged", ["other"], forger);
        const file = await narInfoFile(directory, "other-1");
        const sig =
          /^Sig: .*$/m.exec(await readFile(await narInfoFile(theirs, "other-1"), "utf8"))?.[0] ??
          "";
        await change(file, (text) => text.replace(/^Sig: .*$/m, sig));
        return file;
      },
      /has a wrong signature by lan-1/,
    ],
    [
      "not signed",
      async ({ directory }) => {
        const file = await narInfoFile(directory, "other-1");
        await change(file, (text) => text.replace(/^Sig: .*\n/m, ""));
        return file;
      },
      /is not signed/,
    ],
  ])("a path that is %s is named and not counted: Nix builds it, too", async (_, spoil, why) => {
    await using here = await site();
    const { job, key, directory } = here;
    const file = basename(await spoil(here));
    await using lan = await cacheServer(directory);
    const step = await job.main({ mode: "check", substituters: `${lan.origin} ${key.public}` });
    expect(step.exitCode).toBe(0);
    expect(verdicts(step)).toMatchObject({
      ".#good": { kind: "upstream" },
      ".#other": { kind: "missing", source: ["other-1"] },
    });
    const [warning = ""] = told(step).filter((line) => line.startsWith("warning: "));
    expect(warning).toContain(`${lan.origin}: 1 answer not counted: ${lan.origin}/${file}`);
    expect(warning).toMatch(why);
    expect(substituterOf(step.report(), lan.origin)).toMatchObject({
      hits: 1,
      refused: [expect.anything()],
    });
    expect(await realRun(here, step.report(), [lan.origin])).toEqual(planned(step.report()));
  });

  test("a login page for a narinfo would stop Nix: it is named, Nix is not told, and the job goes on", async () => {
    await using here = await site();
    const { job, key, directory } = here;
    await using lan = await cacheServer(directory);
    const page = basename(await narInfoFile(directory, "other-1"));
    lan.instead = (path) => (path.includes(page) ? { status: 200, body: LOGIN_PAGE } : undefined);
    const substituters = `${lan.origin} ${key.public}`;
    const check = await job.main({ mode: "check", substituters });
    expect(verdicts(check)[".#other"]).toMatchObject({ kind: "missing", source: ["other-1"] });
    await expect(realRun(here, check.report(), [lan.origin])).rejects.toThrow(/corrupt|invalid/i);

    await job.machine.forget();
    const warm = await job.main({ mode: "warm", substituters, cache: `file://${job.cache}` });
    expect(warm.exitCode).toBe(0);
    expect(warm.building).toEqual(["other-1"]);
    expect(warm.annotations).toContainEqual(
      expect.objectContaining({ level: "warning", message: expect.stringContaining("NCP-353") }),
    );
    // What it served well is here; a later step is not held up by the rest.
    const { drvPath } = warm.report().targets.find(({ name }) => name === ".#other") ?? {};
    await job.machine.nix("nix-store", ["--realise", drvPath ?? ""]);
  });

  test("a login page for nix-cache-info is no cache: named, and nothing is held to be missing", async () => {
    await using here = await site();
    const { job, key } = here;
    await using portal = await cacheServer(join(job.machine.root, "nowhere"));
    portal.instead = () => ({ status: 200, body: LOGIN_PAGE });
    const step = await job.main({ mode: "check", substituters: `${portal.origin} ${key.public}` });
    expect(step.exitCode).toBe(0);
    expect(told(step)).toContainEqual(
      expect.stringMatching(/(is not used|did not answer): .*is not a nix-cache-info/),
    );
    expect(verdicts(step)[".#good"]).toMatchObject({ kind: "unknown" });
  });

  test("three substituters, one dead, one slow, one lying: the fourth's word counts, and the job is fed by it", async () => {
    await using here = await site();
    const { job, key, directory } = here;
    await using lan = await cacheServer(directory);
    await using silent = await silentServer();
    const lies = await copyCache(directory, "lies");
    for (const name of ["good-1", "other-1"]) {
      const file = await narInfoFile(lies, name);
      await change(file, (text) => text.replace(/^NarSize: .*$/m, "NarSize: 7"));
    }
    await using liar = await cacheServer(lies);
    const dead = await deadOrigin();
    const substituters = [dead, silent.origin, liar.origin, `${lan.origin} ${key.public}`];
    const step = await job.main({ mode: "prefetch", substituters: substituters.join("\n") });
    expect([step.exitCode, step.exitCode === 0 ? "" : step.log]).toEqual([0, ""]);
    expect(verdicts(step)).toMatchObject({
      ".#good": { kind: "upstream", caches: [lan.origin] },
      ".#other": { kind: "upstream", caches: [lan.origin] },
    });
    expect(step.report().fetched.paths).toBe(2);
    expect(step.building).toEqual([]);
    for (const origin of [dead, silent.origin, liar.origin]) {
      expect(told(step).filter((line) => line.includes(origin))).toHaveLength(1);
    }
    expect(silent.asked()).toBe(1);
  });
});
