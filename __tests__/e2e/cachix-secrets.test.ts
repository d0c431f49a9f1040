/** Owns the proof that token and signing key are nowhere: read is whatever a run wrote, said or started. */

import { lstat, readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { expect, test } from "@jest/globals";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { BWS, type CachixStep, startCachixJob, TOKEN } from "./cachix-job.ts";
import { watchProcesses } from "./process-watch.ts";

/** Every regular file below a folder that holds one of the secrets. */
async function filesWith(folder: string, secrets: readonly Buffer[]): Promise<string[]> {
  const found: string[] = [];
  let files = 0;
  for (const name of await readdir(folder, { recursive: true })) {
    const file = join(folder, name);
    if (!(await lstat(file)).isFile()) continue;
    files++;
    const bytes = await readFile(file);
    if (secrets.some((secret) => bytes.includes(secret))) found.push(file);
  }
  expect(files).toBeGreaterThan(10);
  return found;
}

function said(step: CachixStep): string {
  const { log, outputs, state, environment, summary, annotations, report } = step;
  // The runner takes these lines for itself, and shows none of them.
  const raw = step.raw.split("\n").filter((line) => !line.startsWith("::add-mask::"));
  return JSON.stringify([log, raw, outputs, state, environment, summary, annotations, report]);
}

test("token and signing key are in no file but netrc, in no argument, environment, log, state or report", async () => {
  const signingKey = generateSecretKey("mycache.cachix.org-1");
  await using job = await startCachixJob({ isPrivate: true, selfSignedBy: signingKey });
  const inputs = { mode: "warm", targets: BWS, "signing-key": signingKey, verify: "full" };
  const bare = signingKey.slice(signingKey.indexOf(":") + 1);
  // As Basic credentials have it, too.
  const secrets = [TOKEN, bare, Buffer.from(`:${TOKEN}`).toString("base64")];
  const steps: CachixStep[] = [];
  const watched = await watchProcesses(
    secrets,
    (command) => /\/dist\/(main|post)\.js/.test(command),
    async () => {
      const main = await job.step(inputs);
      const post = await job.step(inputs, { stage: "post", state: main.state });
      await job.machine.forget();
      steps.push(main, post, await job.step({ ...inputs, mode: "prefetch" }));
      // What went wrong is told without them, too.
      job.server.tokens.clear();
      steps.push(await job.step(inputs));
      job.server.tokens.set(TOKEN, "Write");
      job.server.faults.refused = {
        when: "always",
        status: 401,
        matching: ({ endpoint }) => endpoint === "create-upload",
      };
      await job.machine.forget();
      steps.push(await job.step({ ...inputs, targets: "nixpkgs#hello" }));
    },
  );
  expect(steps[0]?.report.pinned).toMatchObject([{ state: "confirmed" }]);
  expect(steps[2]?.report.fetched.paths).toBe(1);
  expect(steps[3]?.log).toMatch(/this token does not open it/);
  expect(steps[4]?.log).toMatch(/the token is refused/);
  for (const { raw } of steps) {
    const masks = [TOKEN, signingKey, bare].map((secret) => `::add-mask::${secret}`);
    expect(raw.split("\n").slice(0, masks.length)).toEqual(masks);
  }
  for (const step of steps) for (const secret of secrets) expect(said(step)).not.toContain(secret);

  const seen = [...watched.commands].join("\n");
  expect(seen).toMatch(/nix-store[^\n]* --realise/);
  expect(watched.leaks).toEqual([]);

  const files = await filesWith(
    job.machine.root,
    secrets.map((secret) => Buffer.from(secret)),
  );
  // One for each main that post did not come after, and was let in.
  expect(files.map((file) => relative(job.temp, file)).sort()).toEqual(
    ["1", "3"].map((use) => join("nix-cache-preflight", use, "netrc")),
  );
  for (const file of files) expect((await lstat(file)).mode & 0o777).toBe(0o600);
  const [netrc = ""] = files;

  // What a killed run left half written goes, too; and a failed main is no reason to keep it.
  await writeFile(`${netrc}.tmp-0123456789ab`, `machine x login "" password ${TOKEN}`);
  await job.step(inputs, { stage: "post" });
  expect(
    await filesWith(
      job.machine.root,
      secrets.map((secret) => Buffer.from(secret)),
    ),
  ).toEqual([]);
});

test("two runners of one user: each job gets in by its own netrc until its own post", async () => {
  await using job = await startCachixJob({ isPrivate: true });
  const inputs = { mode: "prefetch", targets: BWS };
  const begin = async (name: string) => {
    const temp = join(job.machine.root, name);
    const { state, environment } = await job.step(inputs, { temp });
    const [ours = ""] = (environment["NIX_USER_CONF_FILES"] ?? "").split(":");
    const netrc = /^netrc-file = (.*)$/m.exec(await readFile(ours, "utf8"))?.[1] ?? "";
    expect(netrc.startsWith(`${temp}/`)).toBe(true);
    return { netrc, end: () => job.step(inputs, { stage: "post", state, temp }) };
  };
  const one = await begin("runner-a");
  const two = await begin("runner-b");
  await one.end();
  await expect(lstat(one.netrc)).rejects.toThrow("ENOENT");
  expect(await readFile(two.netrc, "utf8")).toContain(TOKEN);
  await two.end();
  expect(await filesWith(job.machine.root, [Buffer.from(TOKEN)])).toEqual([]);
});
