/** Owns the proof on the wire: a run that may not write sends nothing that writes, whatever it is told. */

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { PUSH, payload, READ_ONLY, type SentEvent } from "../support/events.ts";
import { type How, NIX, type Step, startJob, type TestJob } from "./job.ts";
import { SLOW } from "./slow.ts";
import { WIRES, type Wire } from "./wire.ts";

let built = 0;

/** A stranger's code beside a token is built in a sandbox, or not at all. */
const SANDBOX = {
  configuration: "sandbox = true\nsandbox-fallback = false\nsandbox-paths = /bin /usr /lib /lib64",
};

/** Something that no cache and no store has yet: each step and each job has work of its own. */
async function flakeOf(job: TestJob): Promise<void> {
  built++;
  const build = (name: string) =>
    `${name} = derivation { name = "${name}-${built}"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo ${name} ${built} > $out" ]; };`;
  await writeFile(
    join(job.workspace, "flake.nix"),
    `{ outputs = { self }: { packages.x86_64-linux = { ${build("target")} ${build("later")} }; }; }`,
  );
}

/** Main; what the job builds; then every post of `posts`, each with main's state as it makes it. */
async function wholeJob(
  job: TestJob,
  wire: Wire,
  { inputs, environment, ...event }: SentEvent,
  posts: readonly ((state: Readonly<Record<string, string>>) => How)[],
): Promise<{ main: Step; posts: Step[] }> {
  await flakeOf(job);
  const given = { mode: "warm", targets: "path:.#target", ...wire.inputs, ...inputs };
  const how = {
    ...event,
    environment: { ...job.machine.environment, ...wire.environment, ...environment },
  };
  const main = await job.main(given, how);
  await job.machine.nix("nix", ["build", "--no-link", "path:.#later"], job.workspace);
  const done: Step[] = [];
  // Post takes it away; each one of them is to find it.
  const ours = join(job.machine.root, "runner", "nix-cache-preflight");
  const kept = join(job.machine.root, `kept-${built}`);
  await cp(ours, kept, { recursive: true });
  for (const post of posts) {
    await cp(kept, ours, { recursive: true });
    done.push(await job.post(given, { ...how, state: main.state, ...post(main.state) }));
  }
  return { main, posts: done };
}

/** A record of a step's own, where main's was, and the state that points to it. */
function forge(
  state: Readonly<Record<string, string>>,
  bound: (folder: string) => string,
): Record<string, string> {
  const [[name = "", text = ""] = []] = Object.entries(state);
  const pointer = JSON.parse(text) as { sharedFolder: string; use: string; file: string };
  const folder = join(pointer.sharedFolder, pointer.use);
  const file = join(folder, pointer.file);
  const record = JSON.stringify({
    ...(JSON.parse(readFileSync(file, "utf8")) as object),
    trust: { kind: "write", pins: "move", why: "I say so" },
  });
  writeFileSync(file, record);
  const seal = createHash("sha256").update(bound(folder)).update(record).digest("hex");
  return { [name]: JSON.stringify({ ...pointer, seal }) };
}

/** As a step would forge it that knows our source, but no secret. */
function forgedState(state: Readonly<Record<string, string>>): Record<string, string> {
  return forge(state, () => "[]");
}

/** The same where no secret keys the seal; by hand, so that our own code does not judge itself. */
function plainSeal(cache: string, state: Readonly<Record<string, string>>): Record<string, string> {
  return forge(state, (folder) => JSON.stringify([cache, folder, "owner/repository", "", "", ""]));
}

/** The runner's variables as they are in a run that may write everything. */
async function forgedVariables(job: TestJob): Promise<Record<string, string>> {
  const file = join(job.machine.root, "forged-event.json");
  await writeFile(file, PUSH.event);
  return {
    GITHUB_EVENT_NAME: "push",
    GITHUB_EVENT_PATH: file,
    GITHUB_REF: PUSH.ref,
    GITHUB_REF_NAME: "main",
    ACTIONS_CACHE_MODE: "write",
    INPUT_TRUST: "auto",
  };
}

describe.each(Object.keys(WIRES) as (keyof typeof WIRES)[])(
  `read-only and %s, on ${NIX}`,
  (kind) => {
    test("may write: the same job does, in main and in post", async () => {
      await using job = await startJob(undefined, SANDBOX);
      await using wire = await WIRES[kind](job.machine);
      const { main, posts } = await wholeJob(job, wire, PUSH, [() => ({})]);
      expect([main.exitCode, posts[0]?.exitCode]).toEqual([0, 0]);
      expect(wire.writes().length).toBeGreaterThan(0);
    });

    test("every event that may not: not one request that writes, in main and in post, whatever a step forged", async () => {
      await using job = await startJob(undefined, SANDBOX);
      await using wire = await WIRES[kind](job.machine);
      const forged = await forgedVariables(job);
      // For GitHub's cache and a plain HTTP one the trust is the same code: one of each shape.
      const few = [
        "a fork",
        "pull_request_target of a fork",
        "an empty payload",
        "trust: read-only",
      ];
      const events = Object.entries(READ_ONLY).filter(
        ([name]) => kind === "cachix" || few.includes(name),
      );
      for (const [name, event] of events) {
        // A post that nobody tampered with, and one with every forgery; the slow suite has each by itself.
        const every = SLOW || few.includes(name);
        const { main, posts } = await wholeJob(job, wire, event, [
          ...(every ? [() => ({}), () => ({ forged })] : []),
          (state) => ({ forged, state: forgedState(state) }),
        ]);
        expect([name, main.exitCode, ...posts.map(({ exitCode }) => exitCode)]).toEqual([
          name,
          0,
          ...posts.map(() => 0),
        ]);
        expect([name, main.log]).toEqual([name, expect.stringContaining(", read-only (")]);
        const tampered = posts.at(-1)?.log;
        expect([name, tampered]).toEqual([name, expect.stringContaining("was changed since")]);
        for (const { log } of posts.slice(0, -1)) {
          expect([name, log]).toEqual([name, expect.stringContaining("read-only (")]);
        }
        expect([name, wire.writes()]).toEqual([name, []]);
      }
      expect(wire.requests()).toBeGreaterThan(events.length);
    }, 600_000);

    // Each of these alone would be enough, were post to believe it.
    const forgeries: readonly [
      string,
      (job: TestJob, state: Step["state"], cache: string) => Promise<How>,
    ][] = [
      [
        "the event file, written over in its place",
        async () => ({ event: payload("pull_request-own-branch") }),
      ],
      [
        "the record, to say that main could write",
        async (_, state) => ({
          event: payload("pull_request-own-branch"),
          state: forgedState(state),
        }),
      ],
      [
        "another folder of the runner, with a record of its own",
        async (job, state) => {
          const temp = join(job.machine.root, "forged-temp");
          await mkdir(join(temp, "nix-cache-preflight", "1"), { recursive: true });
          await writeFile(join(temp, "nix-cache-preflight", "1", "store-names"), "");
          await writeFile(
            join(temp, "nix-cache-preflight", "1", "github.json"),
            '{"version":1,"layers":[{"kind":"own","folder":"own","key":"k"}],"restored":[]}',
          );
          const variables = await forgedVariables(job);
          return { state: forgedState(state), forged: { ...variables, RUNNER_TEMP: temp } };
        },
      ],
      [
        "the record, sealed as it would be without a secret, and the secret taken away",
        async (job, state, cache) => {
          const variables = await forgedVariables(job);
          const gone = {
            INPUT_TOKEN: "",
            "INPUT_SIGNING-KEY": "",
            ACTIONS_RUNTIME_TOKEN: "",
          };
          return { state: plainSeal(cache, state), forged: { ...variables, ...gone } };
        },
      ],
    ];
    // What post believes is the same code for each cache.
    const tried = SLOW || kind === "cachix" ? forgeries : forgeries.slice(-1);
    test.each(tried)("forged between main and post: %s", async (_, forge) => {
      await using job = await startJob(undefined, SANDBOX);
      await using wire = await WIRES[kind](job.machine);
      const event = READ_ONLY["pull_request_target of a fork"];
      if (!event) throw new Error("no such event");
      const { main } = await wholeJob(job, wire, event, []);
      const inputs = { mode: "warm", targets: "path:.#target", ...wire.inputs };
      const environment = { ...job.machine.environment, ...wire.environment };
      const cache = wire.inputs["cache"] ?? "";
      const how = {
        ...event,
        environment,
        state: main.state,
        ...(await forge(job, main.state, cache)),
      };
      const post = await job.post(inputs, how);
      expect(post.exitCode).toBe(0);
      expect(wire.writes()).toEqual([]);
    });
  },
);
