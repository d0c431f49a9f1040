/** Owns the demo on Cachix: what its server told the old tools, and what this action makes of it. */

import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { BITWARDEN, BWS, startCachixJob, TOKEN } from "../__tests__/e2e/cachix-job.ts";
import { TOKEN as BY_HAND_TOKEN, call } from "../__tests__/servers/cachix-by-hand.ts";

const out = resolve("demo-out");

/** Against the test server on this machine's loopback; ends the process with 1 where a step fails. */
export async function demoCachix(): Promise<void> {
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const tokens = { [TOKEN]: "Write", [BY_HAND_TOKEN]: "Write" } as const;
  await using job = await startCachixJob({ tokens });
  const { server, machine } = job;
  const name = await job.seed("bitwarden-cli", "upstream");
  const storePath = `${machine.storeDir}/${name}`;

  heading("0. what the old tools were told of bitwarden-cli, which only an upstream has");
  const bulk = await call(server, "POST", "/narinfo", { body: [name.slice(0, 32)] });
  console.log(`cachix push asks what is missing:  ${bulk.status} ${await bulk.text()}`);
  console.log("  → Nothing to push - all store paths are already on Cachix.");
  const body = { name: "bitwarden-cli", storePath, artifacts: [], keep: null };
  const pin = await call(server, "POST", "/pin", { body });
  console.log(`cachix pin:                        ${pin.status} ${await pin.text()}`);

  const targets = `${BWS} closure=build\n${BITWARDEN}`;
  const step = async (title: string, file: string, inputs: Record<string, string>) => {
    heading(title);
    const result = await job.step({ targets, heavy: "bws-*", ...inputs });
    console.log(result.log);
    await writeFile(join(out, `${file}.log`), result.log);
    await writeFile(join(out, `${file}.md`), result.summary);
    if (result.exitCode !== 0) {
      console.error(`${file} ended with ${result.exitCode}`);
      process.exit(1);
    }
    return result;
  };
  const before = await step("1. check: what is where", "1-check", { mode: "check" });
  const warm = await step(
    "2. warm: bws is built, pushed, verified, pinned; bitwarden-cli is upstream only",
    "2-warm",
    { mode: "warm" },
  );
  const forced = await step(
    "3. warm with force: bitwarden-cli is uploaded all the same, verified and pinned",
    "3-force",
    { mode: "warm", targets: BITWARDEN, force: "true" },
  );
  await machine.forget();
  const after = await step("4. prefetch on another machine", "4-prefetch", { mode: "prefetch" });

  heading("what it came to");
  const tell = (when: string, { report }: typeof warm) => {
    for (const { target, outcome, detail } of report.verified) {
      const pinned = report.pinned.find((one) => one.target === target);
      const how = pinned ? `pin ${pinned.name} ${pinned.state}` : "not pinned";
      console.log(`${when}${target}: ${outcome}${detail ? ` (${detail})` : ""}, ${how}`);
    }
  };
  console.log(`before: hit-rate ${before.outputs["hit-rate"]}`);
  tell("warm:   ", warm);
  tell("force:  ", forced);
  console.log(`after:  hit-rate ${after.outputs["hit-rate"]}`);
  console.log(`\nlogs and summaries are in ${out}`);
}

function heading(text: string): void {
  console.log(`\n===== ${text} =====\n`);
}
