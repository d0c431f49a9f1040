/** Owns the proof that the gate of our matrix workflows is green only where every job ended as planned. */

import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";

const FILES = [".github/workflows/plan-matrix-verify.yml", "examples/matrix.yml"];

interface Workflow {
  readonly jobs: Readonly<Record<string, Job>>;
}
interface Job {
  readonly if?: string;
  readonly needs?: readonly string[];
  readonly steps: readonly { readonly run?: string; readonly env?: Record<string, string> }[];
}

async function jobsOf(file: string): Promise<Workflow["jobs"]> {
  return (parse(await readFile(file, "utf8")) as Workflow).jobs;
}

/** How each job ended, as `needs.JOB.result` says it, and what the plan said. */
interface Ended {
  readonly PLAN: string;
  readonly FIRST: string;
  readonly SECOND: string;
  readonly VERIFY: string;
  readonly STAGES: string;
  readonly READ_ONLY: string;
}

const RESULTS = ["success", "failure", "cancelled", "skipped"];
const combinations: Ended[] = RESULTS.flatMap((FIRST) =>
  RESULTS.flatMap((SECOND) =>
    RESULTS.flatMap((VERIFY) =>
      ["0", "1", "2", "", "3"].flatMap((STAGES) =>
        ["true", "false", ""].map((READ_ONLY) => ({
          ...{ PLAN: "success", FIRST, SECOND, VERIFY, STAGES, READ_ONLY },
        })),
      ),
    ),
  ),
);

/** The six ways in which a plan can be kept. */
const KEPT = new Set(
  [
    ["skipped", "skipped", "skipped", "0", "true"],
    ["skipped", "skipped", "success", "0", "false"],
    ["skipped", "success", "skipped", "1", "true"],
    ["skipped", "success", "success", "1", "false"],
    ["success", "success", "skipped", "2", "true"],
    ["success", "success", "success", "2", "false"],
  ].map((words) => words.join()),
);

describe.each(FILES)("the gate of %s", (file) => {
  test("always runs, after every other job, and only once", async () => {
    const { ["gate"]: gate, ...others } = await jobsOf(file);
    expect(gate?.if).toBe("always()");
    expect([...(gate?.needs ?? [])].sort()).toEqual(Object.keys(others).sort());
  });

  test("is green for the six ways to keep a plan, and for no other end", async () => {
    const script = (await jobsOf(file))["gate"]?.steps[0]?.run ?? "exit 9";
    // One shell asks for all of them, so that a thousand shells need not start.
    const all = combinations
      .map((ended) => Object.entries(ended).map(([name, value]) => `${name}='${value}'`))
      .map(
        (words) =>
          `if said=$(${words.join("; ")}; ${script}\n); then echo green; else echo red; fi`,
      )
      .join("\n");
    const { stdout } = spawnSync("bash", ["-s"], { input: all, encoding: "utf8" });
    const green = stdout.trim().split("\n");
    expect(green).toHaveLength(combinations.length);
    const kept = combinations.filter((_, at) => green[at] === "green");
    const words = ({ FIRST, SECOND, VERIFY, STAGES, READ_ONLY }: Ended) =>
      [FIRST, SECOND, VERIFY, STAGES, READ_ONLY].join();
    expect(new Set(kept.map(words))).toEqual(KEPT);
  });

  test.each(["failure", "cancelled", "skipped", ""])(
    "is red where the plan itself ended as '%s', and says so",
    async (PLAN) => {
      const script = (await jobsOf(file))["gate"]?.steps[0]?.run ?? "";
      const env = { PLAN, FIRST: "skipped", SECOND: "skipped", VERIFY: "skipped" };
      const { status, stdout } = spawnSync("bash", ["-e", "-o", "pipefail", "-c", script], {
        env,
        encoding: "utf8",
      });
      expect(status).toBe(1);
      expect(stdout).toContain(`::error title=Gate::plan should have ended as success`);
    },
  );
});

test("both gates are one", async () => {
  const [ours, example] = await Promise.all(
    FILES.map(async (file) => (await jobsOf(file))["gate"]),
  );
  expect(example?.steps).toEqual(ours?.steps);
});
