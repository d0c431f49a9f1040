/** Owns the proof that builds get the variables they need, the machine's own hook included, and strangers' do not. */

import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { FORK, NIX, startJob, type TestJob, told } from "./job.ts";

const sum = (text: string) => createHash("sha256").update(text).digest("hex");
const DECLARED = ["COMPANY_MIRROR", "NIX_SIGNING_KEY", "NPM_TOKEN"];

/** Fixed outputs that hold what they see of what they declare; each content has its own. */
async function flakeOf(job: TestJob, content: string): Promise<void> {
  await writeFile(
    join(job.workspace, "flake.nix"),
    `{ outputs = { self }: let
      d = name: more: script: derivation ({ inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" script ]; } // more);
      fetched = d "fetched" {
        impureEnvVars = [ ${DECLARED.map((name) => `"${name}"`).join(" ")} ];
        outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "${sum(content)}";
      } "printf '%s' \\"$COMPANY_MIRROR|$NIX_SIGNING_KEY|$NPM_TOKEN\\" > $out";
    in { packages.x86_64-linux = {
      # It is what is below that fetches.
      default = d "program" { inherit fetched; } "echo > $out";
      last = d "last" { first = d "first" { } "echo first > $out"; } "echo last > $out";
    }; }; }`,
  );
}

const VALUES = { COMPANY_MIRROR: "mirror", NIX_SIGNING_KEY: "signing", NPM_TOKEN: "npm" };

describe(`what a build gets to know, on ${NIX}`, () => {
  test.each([
    ["what its fetches declare, but for secrets", {}, {}, "mirror||"],
    [
      "what pass-env names, secrets too",
      { "pass-env": "NPM_TOKEN, COMPANY_MIRROR" },
      {},
      "mirror||npm",
    ],
    ["a stranger's: nothing that it declares", {}, FORK, "||"],
    [
      "a stranger's: no secret, whoever names it",
      { "pass-env": "COMPANY_MIRROR\nNPM_TOKEN" },
      FORK,
      "mirror||",
    ],
  ])("%s", async (_, inputs, event, content) => {
    await using job = await startJob(undefined);
    await flakeOf(job, content);
    const environment = { ...job.machine.environment, ...VALUES };
    const given = { mode: "warm", targets: "path:.#default", ...inputs };
    const step = await job.main(given, { ...event, environment });
    expect([step.exitCode, told(step).filter((line) => line.includes("not built"))]).toEqual([
      0,
      [],
    ]);
    expect(step.building).toEqual(["fetched", "program"]);
  });

  test("the machine's post-build-hook has the job's environment, and runs on nothing of a stranger's", async () => {
    await using job = await startJob(undefined);
    const { machine } = job;
    const [hook, record] = [join(machine.root, "hook"), join(machine.root, "record")];
    const script = `#!/bin/sh\necho "$UPLOAD_TOKEN <$INPUT_TOKEN> $DRV_PATH" >> ${record}\n`;
    await writeFile(hook, script, { mode: 0o755 });
    const conf = join(machine.root, "etc", "nix.conf");
    await writeFile(conf, `${await readFile(conf, "utf8")}post-build-hook = ${hook}\n`);
    await flakeOf(job, "||");
    const environment = { ...machine.environment, UPLOAD_TOKEN: "upload-7f3a" };
    const given = { mode: "warm", targets: "path:.#last" };
    const stranger = await job.main(given, { ...FORK, environment });
    expect([stranger.exitCode, stranger.building]).toEqual([0, ["first", "last"]]);
    await expect(readFile(record, "utf8")).rejects.toThrow("ENOENT");
    await machine.forget();
    const ours = await job.main({ ...given, token: "not-for-the-hook" }, { environment });
    expect(ours.exitCode).toBe(0);
    const lines = (await readFile(record, "utf8")).trim().split("\n");
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/^upload-7f3a <> \//);
  });

  test("that it failed is told, once, with its words", async () => {
    await using job = await startJob(undefined);
    const { machine } = job;
    const hook = join(machine.root, "hook");
    await writeFile(hook, "#!/bin/sh\necho the upload is refused >&2\nexit 3\n", { mode: 0o755 });
    const conf = join(machine.root, "etc", "nix.conf");
    await writeFile(conf, `${await readFile(conf, "utf8")}post-build-hook = ${hook}\n`);
    await flakeOf(job, "||");
    const step = await job.main({ mode: "warm", targets: "path:.#last" });
    expect(step.exitCode).toBe(1);
    const of = (level: string) => step.annotations.filter((one) => one.level === level);
    expect(of("error")).toEqual([
      expect.objectContaining({
        message: expect.stringContaining("the upload is refused"),
      }),
    ]);
    // Of the last one nothing is missing but what the hook would have done.
    const last = await job.main({ mode: "warm", targets: "path:.#last" });
    expect([last.exitCode, last.building]).toEqual([0, ["last"]]);
    expect(last.annotations).toContainEqual(
      expect.objectContaining({ level: "warning", message: expect.stringContaining("NCP-209") }),
    );
  });
});
