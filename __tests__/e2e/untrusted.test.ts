/** Owns the proof that other people's words stay words: in the log, the outputs, the summary, a command. */

import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { parseSigningKey } from "../../src/domain/signature.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { type PutServer, putServer } from "../servers/put.ts";
import { PUSH } from "../support/events.ts";
import { startCachixJob } from "./cachix-job.ts";
import { type How, type Inputs, NIX, type Step, startJob, type TestJob, told } from "./job.ts";

/** Commands of the runner, its older form, escape sequences, Markdown, HTML, a delimiter, shell words. */
const SPELLS = [
  "::set-output name=hit::true",
  "::add-mask::cached",
  "  ::error title=spell::x",
  "##[error]spell",
  "ghadelimiter_spell",
  "hit<<EOF",
  "true",
  "EOF",
  "| <img src=x onerror=spell()> | [spell](javascript:spell()) | `$(touch spell)` |",
  "$(touch spell) `touch spell` ; touch spell && touch spell",
];
const ESCAPES = [
  "\u001b[31mspell",
  "\u001b]8;;https://spell\u0007x\u001b]8;;\u0007",
  "\u202espell",
];

/** Whatever was said, nothing of it was obeyed, shown as markup or run. */
async function expectWords(job: TestJob, step: Step): Promise<void> {
  for (const line of step.raw.split("\n")) {
    expect(line).not.toMatch(/^\s*::(set-output|error title=spell|add-mask::cached)/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are looked for
    expect(line).not.toMatch(/##\[|\u001b|\u202e|\u0007/);
  }
  for (const { title } of step.annotations) expect(title).not.toContain("spell");
  expect(step.summary).not.toMatch(/<img|\[spell\]\(|javascript:spell\(\)\)|`\$\(/);
  expect(Object.keys(step.outputs)).not.toContain("spell");
  // What a shell would have made.
  for (const folder of [job.workspace, job.machine.root]) {
    expect(execFileSync("/bin/ls", ["-a", folder]).toString().split("\n")).not.toContain("spell");
  }
}

const nixString = (text: string) =>
  `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("$", "\\$")}"`;

describe(`other people's words, on ${NIX}`, () => {
  test("a build's log, an evaluation's error and the names of attributes", async () => {
    await using job = await startJob(undefined);
    await writeFile(join(job.workspace, "words"), [...SPELLS, ...ESCAPES].join("\n"));
    const name = "<img src=x onerror=spell()>|`$(touch spell)`::error::";
    await writeFile(
      join(job.workspace, "flake.nix"),
      `{ outputs = { self }: { packages.x86_64-linux = {
        talks = derivation { name = "talks"; system = "x86_64-linux"; builder = "/bin/sh";
          args = [ "-c" "/bin/cat \${./words} >&2; /bin/cat \${./words}; echo ok > $out" ]; };
        fails = derivation { name = "fails"; system = "x86_64-linux"; builder = "/bin/sh";
          args = [ "-c" "/bin/cat \${./words} >&2; exit 1" ]; };
        throws = throw (builtins.readFile ./words);
        ${nixString(name)} = derivation { name = "odd"; system = "x86_64-linux"; builder = "/bin/sh";
          args = [ "-c" "echo ok > $out" ]; };
      }; }; }`,
    );
    const step = await job.main({
      mode: "warm",
      targets: "path:.#talks\npath:.#fails\npath:.#throws\npath:.#*",
      "fail-on": "eval, missing",
    });
    expect(step.exitCode).toBe(1);
    expect(step.outputs["hit"]).toBe("false");
    expect(step.building).toEqual(expect.arrayContaining(["talks", "fails", "odd"]));
    // They were said, each in its place.
    expect(step.log).toContain("set-output name=hit");
    expect(told(step).join("\n")).toContain("spell");
    await expectWords(job, step);
  });

  test("a branch, a tag and a pull request's title", async () => {
    await using job = await startJob(undefined);
    const branch = "refs/heads/$(touch spell)`touch spell`<img src=x onerror=spell()>";
    const event = JSON.parse(PUSH.event) as { repository: { default_branch: string } };
    event.repository.default_branch = branch.slice("refs/heads/".length);
    const how: How = {
      event,
      ref: branch,
      environment: {
        ...job.machine.environment,
        GITHUB_HEAD_REF: branch,
        GITHUB_REF_NAME: SPELLS.join("\n"),
      },
    };
    const step = await job.main(
      { mode: "check", "key-suffix": "$(touch,spell)".replace(",", "-") },
      how,
    );
    expect(step.exitCode).toBe(0);
    expect(step.outputs["cache-key"]).toContain("$(touch-spell)");
    await expectWords(job, step);
  });

  test("pins that others set, in the cache's own list", async () => {
    await using job = await startCachixJob();
    await job.seed("hello", "own");
    for (const [index, spell] of SPELLS.entries()) {
      job.server.state.pins.byName.set(spell, {
        id: `pin-${index}`,
        name: spell,
        createdOn: new Date(0).toISOString(),
        revisions: [],
      } as never);
    }
    const step = await job.step({ mode: "audit", targets: "nixpkgs#hello" });
    expect(step.raw).not.toMatch(/^\s*::set-output/m);
    expect(step.summary).not.toContain("<img");
  });
});

/** A path of a substituter whose narinfo has another URL, and a place that a request must not reach. */
async function leaving(url: (away: PutServer) => string, inputs: Inputs = {}) {
  const job = await startJob(undefined);
  const [home, away] = [await putServer(), await putServer()];
  const key = generateSecretKey("ours-1");
  await writeFile(
    join(job.workspace, "flake.nix"),
    `{ outputs = { self }: { packages.x86_64-linux.one = derivation { name = "one"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo one > $out" ]; }; }; }`,
  );
  await job.main({ mode: "warm", targets: "path:.#one", "signing-key": key });
  for (const name of execFileSync("/bin/ls", ["-R", job.cache]).toString().split("\n")) {
    if (!name.endsWith(".narinfo")) continue;
    const text = await readFile(join(job.cache, name), "utf8");
    home.files.set(`/${name}`, Buffer.from(text.replace(/^URL: .*$/m, `URL: ${url(away)}`)));
  }
  home.files.set("/nix-cache-info", Buffer.from(`StoreDir: ${job.machine.storeDir}\n`));
  await job.machine.forget();
  const step = await job.main({
    targets: "path:.#one",
    cache: "none",
    substituters: `${home.origin} ${parseSigningKey(key).publicKey.text}`,
    ...inputs,
  });
  return { job, home, away, step };
}

describe(`a narinfo's URL that leaves its cache, on ${NIX}`, () => {
  test.each<[string, (away: PutServer) => string, "unknown" | "upstream" | "as Nix has it"]>([
    ["absolute", (away) => `${away.origin}/nar/x.nar.zst`, "unknown"],
    ["without a scheme", (away) => `//127.0.0.1:${away.port}/nar/x.nar.zst`, "as Nix has it"],
    ["upwards", () => "../../nar/x.nar.zst", "upstream"],
    ["upwards, encoded", () => "nar/%2e%2e/%2e%2e/x.nar.zst", "upstream"],
    ["a file", () => "file:///etc/passwd", "unknown"],
    ["from the root", () => "/etc/passwd", "upstream"],
  ])("%s: reaches no other host, and counts as no hit", async (_, url, kind) => {
    const { job, home, away, step } = await leaving(url);
    await using _job = job;
    await using _home = home;
    await using _away = away;
    expect(step.outputs["hit"]).toBe("false");
    expect(step.report().fetched.paths).toBe(0);
    expect(away.requests).toEqual([]);
    const verdict = JSON.parse(step.outputs["verdicts"] ?? "{}")["path:.#one"];
    // 2.34 takes two slashes for another host's name, the earlier ones for a path of this one.
    if (kind === "as Nix has it") expect(["unknown", "upstream"]).toContain(verdict.kind);
    else expect(verdict.kind).toBe(kind);
    // What is not followed at all is told; the rest is asked of the cache itself, which has no such NAR.
    if (verdict.kind === "unknown")
      expect(verdict.why).toMatch(/leads away from the cache, and is not followed/);
    else expect(told(step).join("\n")).toContain(home.origin);
  });
});

describe(`shells, on ${NIX}`, () => {
  test("main and post start none, and no program by a command line", async () => {
    await using job = await startJob(undefined);
    const record = join(job.machine.root, "spawned");
    const hook = join(job.machine.root, "hook.mjs");
    // Every kind of start of a process comes through here: exec, execFile, fork, spawn.
    await writeFile(
      hook,
      `import { ChildProcess } from "node:child_process";
       import { appendFileSync } from "node:fs";
       const { spawn } = ChildProcess.prototype;
       ChildProcess.prototype.spawn = function (options) {
         const { file, args, envPairs } = options;
         appendFileSync(${JSON.stringify(record)}, JSON.stringify({ file, args, env: envPairs }) + "\\n");
         return spawn.call(this, options);
       };`,
    );
    await writeFile(
      join(job.workspace, "flake.nix"),
      `{ outputs = { self }: { packages.x86_64-linux.one = derivation { name = "one"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo one > $out" ]; }; }; }`,
    );
    const environment = {
      ...job.machine.environment,
      NODE_OPTIONS: `--import ${pathToFileURL(hook).href}`,
    };
    const inputs = {
      mode: "warm",
      targets: "path:.#one",
      cache: `file://${job.cache}?compression=xz`,
    };
    const main = await job.main(inputs, { environment });
    const post = await job.post(inputs, { environment, state: main.state });
    expect([main.exitCode, post.exitCode]).toEqual([0, 0]);
    const spawned = (await readFile(record, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { file: string; args: string[] });
    const files = [...new Set(spawned.map(({ file }) => file.split("/").at(-1)))].sort();
    // git says what the targets are evaluated from.
    expect(files).toEqual(["git", "nix", "nix-instantiate", "nix-store", "node", "xz"]);
  });
});
