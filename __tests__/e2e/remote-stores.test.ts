/** Owns the proof that a store behind SSH and a bucket carry a job's work to the next machine. */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { parseSigningKey } from "../../src/domain/signature.ts";
import { s3Server } from "../servers/moto.ts";
import { sshStore } from "../servers/sshd.ts";
import { newSecretKey } from "../support/keys.ts";
import { flake, MINOR, NIX, type Step, startJob, type TestJob, told } from "./job.ts";

const targets = ".#top";
const SECRET = newSecretKey("preflight-1");
const PUBLIC = parseSigningKey(SECRET).publicKey.text;

/** The target is valid, and this step built nothing for it. */
async function wasFetched(job: TestJob, step: Step): Promise<void> {
  expect(step.exitCode).toBe(0);
  expect(step.building).toEqual([]);
  const [path = ""] = Object.values(JSON.parse(step.outputs["store-paths"] ?? "{}") as object);
  expect(await job.machine.nix("nix-store", ["--check-validity", String(path)])).toBe("");
}

function verified(step: Step): string[] {
  return step.report().verified.map(({ outcome }) => outcome);
}

describe(`caches that only Nix, or only we, can speak to, on ${NIX}`, () => {
  test("ssh-ng: pushed and verified to the last byte; the next machine builds nothing", async () => {
    await using job = await startJob(flake("graphs"));
    await using store = await sshStore(job.machine.storeDir);
    const { NIX_SSHOPTS = "" } = store.environment;
    const environment = { ...job.machine.environment, NIX_SSHOPTS };
    const own = { cache: store.url, "signing-key": SECRET, targets };

    const first = await job.main({ ...own, mode: "warm", verify: "full" }, { environment });
    expect(told(first).filter((line) => !line.startsWith("notice"))).toEqual([]);
    expect(first.exitCode).toBe(0);
    expect(first.building).not.toEqual([]);
    expect(verified(first)).toEqual(["verified"]);

    await job.machine.forget();
    await wasFetched(job, await job.main({ ...own, mode: "prefetch" }, { environment }));

    // As one more cache to read, by who has no key of ours.
    await job.machine.forget();
    const reader = { cache: "none", substituters: `${store.url} ${PUBLIC}`, targets };
    const third = await job.main({ ...reader, mode: "prefetch" }, { environment });
    expect(third.outputs["hit"]).toBe("true");
    await wasFetched(job, third);
  });

  test("ssh-ng: a host that refuses our key is unknown, never missing", async () => {
    await using job = await startJob(flake("graphs"));
    await using store = await sshStore(job.machine.storeDir);
    const { NIX_SSHOPTS = "" } = store.withSsh(store.strangersClient);
    const environment = { ...job.machine.environment, NIX_SSHOPTS };
    const step = await job.main(
      { cache: store.url, "signing-key": SECRET, targets, mode: "check" },
      { environment },
    );
    expect(step.outputs["any-missing"]).toBe("false");
    expect(told(step).join("\n")).toContain("the host refuses our SSH key");
    expect(step.report().targets.map(({ verdict }) => verdict.kind)).toEqual(["unknown"]);
  });

  test("s3: pushed, verified to the last byte, and fetched; no builder sees the secret", async () => {
    await using job = await startJob(flake("curious"));
    await using at = await s3Server("taken as they are");
    const environment = {
      ...job.machine.environment,
      AWS_ACCESS_KEY_ID: at.keyId,
      AWS_SECRET_ACCESS_KEY: at.secret,
    };
    const own = { cache: at.url, "signing-key": SECRET, targets: ".#curious" };
    const first = await job.main({ ...own, mode: "warm", verify: "full" }, { environment });
    expect(told(first).filter((line) => !line.startsWith("notice"))).toEqual([]);
    expect(first.exitCode).toBe(0);
    expect(verified(first)).toEqual(["verified"]);
    expect(first.raw).not.toContain(at.secret);

    const audits = [environment, job.machine.environment].map(async (given) => {
      const audit = await job.main({ ...own, mode: "audit" }, { environment: given });
      return /^ +(\w+) NCP-618: (.*)$/m.exec(audit.log)?.slice(1).join(" ");
    });
    expect(await Promise.all(audits)).toEqual([
      `pass ${at.url} lacks no token`,
      `fail ${at.url} refuses our credentials (HTTP 403)`,
    ]);

    await job.machine.forget();
    const second = await job.main({ ...own, mode: "prefetch" }, { environment });
    await wasFetched(job, second);
    // What later steps are told.
    const [file = ""] = (second.environment["NIX_USER_CONF_FILES"] ?? "").split(":");
    const configured = await readFile(file, "utf8").catch(() => "");
    // Debian builds its Nix with S3 from 2.33 on.
    if (MINOR < 33) {
      expect(second.log).toContain("NCP-330");
      expect(configured).not.toContain("s3://");
      return;
    }
    expect(configured).toContain("s3://");
    // Nix itself takes from the bucket what we put there.
    await job.machine.forget();
    await at.makePublic();
    const [path = ""] = Object.values(
      JSON.parse(second.outputs["store-paths"] ?? "{}") as Record<string, string>,
    );
    const copy = ["copy", "--from", at.url, "--option", "trusted-public-keys", PUBLIC, path];
    await promisify(execFile)("nix", copy, { env: environment });
    expect(await job.machine.nix("nix-store", ["--check-validity", path])).toBe("");
  });
});
