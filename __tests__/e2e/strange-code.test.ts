/** Owns the proof that a stranger's code finds no credential: in no file, in no request and no process of post. */

import { lstat, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { startCachix } from "../servers/cachix.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { listen } from "../servers/http.ts";
import { payload } from "../support/events.ts";
import { TOKEN } from "./cachix-job.ts";
import { type How, MINOR, NIX, startJob, type TestJob } from "./job.ts";
import { recordNix } from "./recorder.ts";

const SANDBOX = {
  configuration: "sandbox = true\nsandbox-fallback = false\nsandbox-paths = /bin /usr /lib /lib64",
};
/** Its jobs have the repository's secrets. */
const FORK: How = {
  eventName: "pull_request_target",
  event: payload("pull_request-fork"),
  ref: "refs/heads/main",
};
/** As it is, and as netrc and Basic credentials have it. */
const SPELT = [TOKEN, Buffer.from(`:${TOKEN}`).toString("base64")];

async function flakeOf(job: TestJob, body: string): Promise<void> {
  await writeFile(
    join(job.workspace, "flake.nix"),
    `{ outputs = { self }: { packages.x86_64-linux = let
      d = name: script: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" script ]; };
    in { ${body} }; }; }`,
  );
}

/** Every file that a build, or a flake input of it, could read. */
async function filesWith(folder: string, words: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir(folder, { recursive: true })) {
    const file = join(folder, name);
    if (!(await lstat(file)).isFile()) continue;
    const text = await readFile(file, "latin1");
    if (words.some((word) => text.includes(word))) found.push(file);
  }
  return found;
}

async function privateCache(job: TestJob) {
  const server = await startCachix({
    storeDir: job.machine.storeDir,
    tokens: { [TOKEN]: "Write" },
    isPrivate: true,
  });
  const inputs = { cache: `cachix:${server.name}?host=${server.origin}`, token: TOKEN };
  return { server, inputs };
}

describe(`a stranger's code in a job that has a token, on ${NIX}`, () => {
  test("what a private cache has is fetched by us, and the token is in no file at any time", async () => {
    await using job = await startJob(undefined, SANDBOX);
    const { server, inputs } = await privateCache(job);
    await using _server = server;
    const kept = 'd "kept" "echo kept > $out"';
    // What is built needs what the private cache has.
    await flakeOf(job, `kept = ${kept}; theirs = d "theirs" "echo \${${kept}} > $out";`);
    const targets = "path:.#kept";
    const ours = await job.main({ ...inputs, mode: "warm", targets });
    expect(ours.report().pushed).toHaveLength(1);
    await job.post({ ...inputs, mode: "warm", targets }, { state: ours.state });
    await job.machine.forget();

    const given = { ...inputs, mode: "warm", targets: "path:.#theirs" };
    const writes = server.writes().length;
    const seen: string[] = [];
    let over = false;
    const watching = (async () => {
      while (!over) {
        seen.push(...(await filesWith(join(job.machine.root, "runner"), SPELT).catch(() => [])));
        seen.push(...(await filesWith(join(job.machine.root, "home"), SPELT).catch(() => [])));
      }
    })();
    const main = await job.main(given, FORK);
    over = true;
    await watching;
    expect([main.exitCode, main.outputs["read-only"]]).toEqual([0, "true"]);
    expect(main.report().fetched.paths).toBe(1);
    expect(main.building).toEqual(["theirs"]);
    expect(await filesWith(job.machine.root, SPELT)).toEqual([]);
    expect(seen).toEqual([]);
    expect(main.log).toContain("later steps are not told of it");
    expect(JSON.stringify(main.environment)).not.toContain(server.uri);
    expect(server.writes()).toHaveLength(writes);
  });

  test("where a build could read it all the same, nothing is evaluated, and that is loud", async () => {
    await using job = await startJob(undefined);
    const { server, inputs } = await privateCache(job);
    await using _server = server;
    await flakeOf(job, 'default = d "loot" "echo > $out";');
    const nix = await recordNix(job.machine);
    for (const mode of ["warm", "prefetch"]) {
      const main = await job.main(
        { ...inputs, mode, targets: "path:.#default" },
        { ...FORK, environment: nix.environment },
      );
      expect([main.exitCode, main.outputs["read-only"]]).toEqual([1, "true"]);
      expect(main.annotations).toMatchObject([
        { level: "error", message: expect.stringContaining("NCP-453") },
      ]);
      expect(main.raw.replace(`::add-mask::${TOKEN}`, "")).not.toContain(TOKEN);
    }
    expect((await nix.calls()).filter((call) => / eval | --realise/.test(call))).toEqual([]);
    expect(server.requests).toEqual([]);
    // Looking builds nothing, and neither does a job without a secret.
    const check = await job.main({ ...inputs, mode: "check", targets: "path:.#default" }, FORK);
    const bare = await job.main({ mode: "warm", targets: "path:.#default" }, FORK);
    expect([check.exitCode, bare.exitCode]).toEqual([0, 0]);
  });

  test("what a flake takes in of /proc holds no key of the job", async () => {
    await using job = await startJob(undefined, SANDBOX);
    const { server, inputs } = await privateCache(job);
    await using _server = server;
    // Below 2.9 an input is no file, and a folder's files have the size that the system says: none.
    const [scheme, holds] = MINOR < 9 ? ["path:", ""] : ["file://", "GITHUB_REPOSITORY=owner/re"];
    await writeFile(
      join(job.workspace, "flake.nix"),
      `{ inputs.loot = { url = "${scheme}/proc/PID/environ"; flake = false; };
        outputs = { self, loot }: { packages.x86_64-linux.default = derivation {
          name = "looted"; system = "x86_64-linux"; builder = "/bin/sh"; inherit loot;
          args = [ "-c" "/bin/cat $loot > $out" ];
        }; }; }`,
    );
    const signing = generateSecretKey("theirs-1");
    const environment = {
      ...job.machine.environment,
      ACTIONS_RUNTIME_TOKEN: "runtime-of-the-job",
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "identity-of-the-job",
    };
    const main = await job.main(
      { ...inputs, "signing-key": signing, mode: "warm", targets: "path:.#default" },
      {
        ...{ ...FORK, environment },
        through: ["sh", "-c", 'sed -i "s/PID/$$/" flake.nix; exec "$@"', "sh"],
      },
    );
    expect([main.exitCode, main.building]).toEqual([0, ["looted"]]);
    expect(await filesWith(job.machine.storeDir, [holds])).not.toEqual([]);
    const keys = [...SPELT, signing, "runtime-of-the-job", "identity-of-the-job"];
    expect(await filesWith(job.machine.root, keys)).toEqual([]);
  });

  test("evaluating it builds nothing", async () => {
    await using job = await startJob(undefined, SANDBOX);
    await flakeOf(
      job,
      `default = d "last" "echo \${builtins.readFile (d "first" "echo first > $out")} > $out";`,
    );
    const main = await job.main({ mode: "warm", targets: "path:.#default", cache: "none" }, FORK);
    expect(main.building).toEqual([]);
    const firsts = async () =>
      (await readdir(job.machine.storeDir)).filter((name) => name.endsWith("-first")).length;
    expect(await firsts()).toBe(0);
    const ours = await job.main({ mode: "warm", targets: "path:.#default", cache: "none" });
    expect([ours.exitCode, await firsts()]).toEqual([0, 1]);
  });

  test("post asks nobody and starts nothing, whatever a step left for it", async () => {
    await using job = await startJob(undefined, SANDBOX);
    const { server, inputs } = await privateCache(job);
    await using _server = server;
    await flakeOf(
      job,
      'default = d "x" "echo > $out"; later = d "later" "echo later > $out"; another = d "another" "echo more > $out";',
    );
    const given = { ...inputs, mode: "warm", targets: "path:.#default" };
    const main = await job.main(given, FORK);
    await job.machine.nix("nix", ["build", "--no-link", "path:.#later"], job.workspace);
    const asked = server.requests.length;

    let proxied = 0;
    await using proxy = await listen(async () => {
      proxied++;
      return { status: 502 };
    });
    const bin = join(job.machine.root, "bin");
    const loot = join(job.machine.root, "loot");
    await mkdir(bin);
    for (const name of ["nix", "nix-store", "nix-instantiate", "ps", "tar", "zstd", "git", "sh"]) {
      const script = `#!/bin/sh\necho ${name} >> ${loot}; cat /proc/$PPID/environ >> ${loot}\n`;
      await writeFile(join(bin, name), script, { mode: 0o755 });
    }
    const proxies = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"];
    const environment = {
      ...job.machine.environment,
      PATH: `${bin}:${job.machine.environment["PATH"]}`,
      NIX_CONFIG: "plugin-files = /nowhere/evil.so",
      ...Object.fromEntries(proxies.map((name) => [name, proxy.origin])),
    };
    const post = await job.post(given, { ...FORK, environment, state: main.state });
    expect(post.exitCode).toBe(0);
    expect(post.log).toContain("are new since");
    expect(post.log).toContain("read-only (the pull request is from a fork)");
    await expect(readFile(loot, "utf8")).rejects.toThrow("ENOENT");
    expect([proxied, server.requests.length]).toEqual([0, asked]);
    expect(await readdir(join(job.machine.root, "runner"))).not.toContain("nix-cache-preflight");

    // Without a secret it asks nobody either, and Nix is the one that main found.
    const bare = { mode: "warm", targets: "path:.#default", cache: `file://${job.cache}` };
    const second = await job.main(bare, FORK);
    await job.machine.nix("nix", ["build", "--no-link", "path:.#another"], job.workspace);
    delete (environment as Record<string, string>)["NIX_CONFIG"];
    const end = await job.post(bare, { ...FORK, environment, state: second.state });
    expect(end.log).toContain("would have pushed what this job built, 1 path");
    await expect(readFile(loot, "utf8")).rejects.toThrow("ENOENT");
    expect(proxied).toBe(0);
  });
});
