/** Owns the audit end to end: a sound project, one with every fault, and the days when nothing answers. */

import { execFile } from "node:child_process";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import type { Check } from "../../src/engine/audit/check.ts";
import type { jsonReport } from "../../src/report/json.ts";
import { TOKEN as BY_HAND, call } from "../servers/cachix-by-hand.ts";
import { BITWARDEN, BWS, startCachixJob, TOKEN } from "./cachix-job.ts";
import { cached, flake, listing, NIX, pins, startJob, type TestJob } from "./job.ts";

const run = promisify(execFile);
const project = (name: string) => resolve("__tests__/fixtures/projects", name);

/** The tree of the fixture, in a repository; `not added` stays out of git. */
async function start(name: string, notAdded: readonly string[] = []): Promise<TestJob> {
  const job = await startJob(project(name));
  const git = (...args: string[]) => run("git", args, { cwd: job.workspace });
  await git("init", "--quiet");
  await git("add", "--all");
  if (notAdded.length > 0) await git("rm", "--quiet", "--cached", ...notAdded);
  return job;
}

type Report = ReturnType<typeof jsonReport>;

function checks({ audit }: Report): readonly Check[] {
  if (!audit) throw new Error("there is no audit in the report");
  return audit.checks;
}

/** `fail NCP-625`, each once, sorted. */
function troubles(report: Report): string[] {
  const found = checks(report).filter(({ status }) => status !== "pass");
  return [...new Set(found.map(({ status, code }) => `${status} ${code}`))].sort();
}

const TARGETS = ".#tool pin=tool";

describe(`an audit, on ${NIX}`, () => {
  test("of a sound project passes in every point, and writes nothing", async () => {
    await using job = await start("sound");
    expect((await job.main({ mode: "warm", targets: TARGETS })).exitCode).toBe(0);
    const before = await listing(job.cache);
    await job.machine.forget();
    const audit = await job.main({
      mode: "audit",
      targets: TARGETS,
      quota: "1GB",
      "fail-on": "eval, missing, unverified, audit",
    });
    expect(troubles(audit.report())).toEqual([]);
    expect(audit.exitCode).toBe(0);
    expect(audit.annotations.filter(({ level }) => level !== "notice")).toEqual([]);
    expect(audit.summary).toMatch(/^### ✅ Nix cache audit: all \d+ checks pass$/m);
    expect(audit.summary).toContain("<summary>1 pin and the largest store paths</summary>");
    expect(audit.log).toMatch(/audit: all \d+ checks pass/);
    expect(await listing(job.cache)).toEqual(before);
  });

  test("of a project that rots names every fault, with the line that mends it", async () => {
    await using job = await start("faulty", ["flake.lock"]);
    // A flake's files have to be known to git, and its lock is not: it is read where it lies.
    const targets = `path:${job.workspace}#tool pin=tool`;
    await job.main({ mode: "warm", targets });
    await writeFile(join(job.workspace, ".github/workflows/broken.yml"), "jobs: {a: [");
    await rm((await cached(job.cache)).get("tool-1.0")?.nar ?? "");
    const options = { mode: "audit", targets, quota: "1B" };
    const told = await job.main(options);
    // What lets somebody in fails the step without being asked to.
    expect(told.exitCode).toBe(1);
    expect((await job.main({ ...options, "fail-on": "none" })).exitCode).toBe(0);
    expect(troubles(told.report())).toEqual([
      "fail NCP-601",
      "fail NCP-612",
      "fail NCP-616",
      "fail NCP-621",
      "fail NCP-622",
      "fail NCP-623",
      "fail NCP-624",
      "fail NCP-625",
      "fail NCP-626",
      "fail NCP-627",
      "fail NCP-630",
      "fail NCP-633",
      "warn NCP-614",
      "warn NCP-620",
      "warn NCP-624",
      "warn NCP-628",
      "warn NCP-629",
      "warn NCP-631",
    ]);
    for (const { status, mend } of checks(told.report())) {
      if (status === "fail" || status === "warn") expect(mend).toMatch(/\S/);
    }
    expect(told.log).toContain(
      '.github/workflows/ci.yml:11: cachix/cachix-action has no input "push": it is ignored in silence.',
    );
    expect(told.summary).toContain("skippush: true is what stops a push");
    expect(told.log).not.toContain("0123456789-written-into-the-file");
    expect(JSON.stringify(told.report())).not.toContain("0123456789-written-into-the-file");
    const strict = await job.main({ ...options, "fail-on": "audit" });
    expect(strict.exitCode).toBe(1);
  });

  test("of the files alone works without Nix, git and a flake that evaluates", async () => {
    await using job = await start("faulty");
    await writeFile(join(job.workspace, "flake.nix"), "{ outputs = _: throw; ");
    const command = (...args: string[]) =>
      run(process.execPath, [resolve("dist/cli.js"), "audit", "--files-only", ...args], {
        cwd: job.workspace,
        env: { PATH: "/nonexistent", HOME: "/nonexistent" },
      }).then(
        ({ stdout }) => ({ code: 0, stdout }),
        ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
      );
    const told = await command("--json");
    expect(told.code).toBe(1);
    const { audit } = JSON.parse(told.stdout) as { audit: { checks: Check[] } };
    const codes = audit.checks.filter(({ status }) => status === "fail").map(({ code }) => code);
    expect(codes).toEqual(expect.arrayContaining(["NCP-621", "NCP-622", "NCP-625", "NCP-630"]));
    const text = await command("--fail-on", "none");
    expect([text.code, text.stdout]).toEqual([
      0,
      expect.stringMatching(/^warning: .* \(NCP-625\)$/m),
    ]);
    expect((await command(".#tool")).code).toBe(2);
  });

  test("at a desk says what takes the store's space, and what holds it", async () => {
    await using job = await start("sound");
    const { environment } = job.machine;
    const desk = (program: string, ...args: string[]) =>
      run(program, args, { cwd: job.workspace, env: environment });
    await desk("nix", "build", ".#tool", "--out-link", "kept");
    const args = [resolve("dist/cli.js"), "audit", ".#tool"];
    const { stdout } = await desk(process.execPath, ...args, "--fail-on", "none", "--json");
    const { audit } = JSON.parse(stdout) as Report;
    const tool = audit?.store?.find(({ path }) => path.endsWith("-tool-1.0"));
    expect(tool?.holders).toEqual([expect.stringMatching(/kept$/)]);
    expect(tool?.way).toEqual([tool?.path]);
    const lines = await desk(process.execPath, ...args, "--fail-on", "none");
    expect(lines.stdout).toMatch(/the largest in this machine's store:\n.*held by/);
    // What evaluating left there is held by nothing that lasts.
    expect(lines.stdout).toMatch(
      / {2}source: .* kB, held by no garbage collector root: nix-store --gc would delete it$/m,
    );
    // A job's machine is thrown away: nobody wants to know.
    const step = await job.main({ mode: "audit", targets: TARGETS, "fail-on": "none" });
    expect(step.report().audit?.store).toBeUndefined();
  });

  test("finds that an output's pin was lost; a warming run sets it again", async () => {
    await using job = await startJob(flake("graphs"));
    const targets = ".#many^out,doc pin=many";
    const warm = await job.main({ mode: "warm", targets });
    expect(warm.exitCode).toBe(0);
    const set = await pins(job.cache);
    expect(set).toEqual({
      many: expect.stringMatching(/-many$/),
      "many^doc": expect.stringMatching(/-many-doc$/),
    });
    await rm(join(job.cache, "pins", `${encodeURIComponent("many^doc")}.json`));
    await job.machine.forget();
    const audit = await job.main({ mode: "audit", targets, "fail-on": "none" });
    expect(
      checks(audit.report())
        .filter(({ code }) => code === "NCP-603" || code === "NCP-604")
        .map(({ status, message }) => [status, message]),
    ).toEqual([
      ["pass", expect.stringMatching(/^pin many: on its path/)],
      ["warn", expect.stringMatching(/^output \S+-many-doc of .* has no pin many\^doc: /)],
    ]);
    expect(audit.outputs["changed"]).toBe("[]");
    expect((await job.main({ mode: "warm", targets })).exitCode).toBe(0);
    expect(await pins(job.cache)).toEqual(set);
  });

  test("of a project without workflows, git, pins or anything pushed is no failure", async () => {
    await using job = await startJob(project("sound"));
    await rename(join(job.workspace, ".github"), join(job.workspace, "github"));
    const audit = await job.main({ mode: "audit", targets: TARGETS, "fail-on": "audit" });
    expect(audit.exitCode).toBe(0);
    expect(troubles(audit.report())).toEqual(["unknown NCP-600", "warn NCP-602"]);
  });
});

describe(`an audit of a Cachix cache, on ${NIX}`, () => {
  const tokens = { [TOKEN]: "Write", [BY_HAND]: "Write", reader: "Read" } as const;
  const audit = { mode: "audit", targets: BWS, "fail-on": "audit" };

  test("reads the pins, their age and their bytes; finds what was collected; knows the token", async () => {
    await using job = await startCachixJob({ tokens, name: "acme" });
    const { server, machine } = job;
    await job.step({ mode: "warm", targets: BWS });
    const name = await job.seed("bitwarden-cli", "own");
    const stray = {
      name: "stray",
      storePath: `${machine.storeDir}/${name}`,
      artifacts: [],
      keep: null,
    };
    await call(server, "POST", "/pin", { body: stray });
    const writes = server.writes().length;

    const good = await job.step({ ...audit, quota: "1GB" });
    const said = checks(good.report).map(({ message }) => message);
    expect(said).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^pin bws: on its path, \d+ days old, revision 1$/),
        expect.stringMatching(/^stray: no target .*; without them at least \d+ B could go$/),
        `the token may read and write ${job.cache}`,
        `the key of ${job.cache} is the one that is trusted`,
      ]),
    );
    const pins = good.report.audit?.sizes?.pins ?? [];
    expect(pins.map((pin) => pin.name)).toEqual(["bws", "stray"]);
    expect(pins[0]?.bytes).toBeGreaterThan(pins[1]?.bytes ?? 0);
    expect(troubles(good.report)).toEqual(["unknown NCP-600", "warn NCP-606", "warn NCP-617"]);
    expect(good.exitCode).toBe(0);

    const over = await job.step({ ...audit, quota: "100B" });
    expect(over.exitCode).toBe(1);
    expect(troubles(over.report)).toContain("fail NCP-607");

    const reader = await job.step({ ...audit, token: "reader" });
    expect(troubles(reader.report)).toContain("fail NCP-618");
    const revoked = await job.step({ ...audit, token: "revoked" });
    expect(troubles(revoked.report)).toContain("fail NCP-618");
    const nobody = await job.step({ ...audit, token: "" });
    expect(checks(nobody.report).map(({ message }) => message)).toContain(
      "no token was given, so none was tried",
    );

    const [path] = Object.values(JSON.parse(good.outputs["store-paths"] ?? "{}") as object);
    server.dropNar(String(path).split("/").at(-1)?.slice(0, 32) ?? "");
    const lost = await job.step(audit);
    expect(troubles(lost.report)).toContain("fail NCP-601");
    expect(lost.summary).toContain("run this action with mode: warm on the default branch");
    expect(server.writes().length).toBe(writes);
  });

  test("with the wrong key in Nix's configuration fails, and says the right one", async () => {
    await using job = await startCachixJob({ tokens, name: "acme" });
    const conf = join(job.machine.root, "etc", "nix.conf");
    const before = await readFile(conf, "utf8");
    const [right = ""] = job.server.publicKeys;
    const wrong = `${right.split(":")[0]}:${Buffer.alloc(32, "wrong key").toString("base64")}`;
    await writeFile(
      conf,
      `${before}extra-substituters = ${job.server.uri}\nextra-trusted-public-keys = ${wrong}\n`,
    );
    const step = await job.step({ ...audit, targets: BITWARDEN });
    expect(step.exitCode).toBe(1);
    expect(step.log).toContain(`→ write ${right}`);
    await writeFile(
      conf,
      `${before}extra-substituters = ${job.server.uri}\nextra-trusted-public-keys = ${right}\n`,
    );
    const mended = await job.step({ ...audit, targets: BITWARDEN });
    expect(mended.exitCode).toBe(0);
    expect(troubles(mended.report)).toEqual(["unknown NCP-600", "warn NCP-602"]);
  });

  test("with nothing on the network says what it could not ask", async () => {
    await using job = await startCachixJob({ tokens, name: "acme" });
    const cache = "cachix:acme?host=http://127.0.0.1:9";
    const step = await job.step({ ...audit, cache });
    expect(step.exitCode).toBe(1);
    expect(troubles(step.report)).toEqual(["fail NCP-613", "unknown NCP-600", "warn NCP-617"]);
    const soft = await job.step({ ...audit, cache, "fail-on": "unverified" });
    expect(soft.exitCode).toBe(0);
  });
});
