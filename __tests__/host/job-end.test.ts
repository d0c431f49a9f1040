import { mkdir, utimes, writeFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { jobEnd } from "../../src/host/clock.ts";
import { temporaryFolder } from "../support/folder.ts";

const FILE = ".github/workflows/ci.yml";
const BEGUN = 1_760_000_000;

interface Given {
  readonly workflow?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A job whose event file was written at BEGUN. */
async function end({ workflow, environment = {} }: Given) {
  await using folder = await temporaryFolder();
  await mkdir(folder.at(".github", "workflows"), { recursive: true });
  if (workflow !== undefined) await writeFile(folder.at(FILE), workflow);
  const event = folder.at("event.json");
  await writeFile(event, "{}");
  await utimes(event, BEGUN, BEGUN);
  return await jobEnd(folder.path, {
    GITHUB_JOB: "build",
    GITHUB_WORKFLOW_REF: `acme/web/${FILE}@refs/heads/main`,
    GITHUB_EVENT_PATH: event,
    RUNNER_ENVIRONMENT: "github-hosted",
    ...environment,
  });
}

const job = (line: string) => `jobs:\n  build:\n    runs-on: ubuntu-latest\n    ${line}\n`;

describe("when the job ends", () => {
  test("timeout-minutes of its workflow file says, from when it began", async () => {
    expect(await end({ workflow: job("timeout-minutes: 30") })).toEqual({
      at: (BEGUN + 1_800) * 1000,
      minutes: 30,
      why: `timeout-minutes of the job build in ${FILE}`,
    });
  });

  test("GitHub's own bound says, on a hosted runner alone", async () => {
    const hosted = await end({ workflow: job("name: x") });
    expect(hosted).toMatchObject({ minutes: 360, why: "GitHub's bound on hosted jobs" });
    const environment = { RUNNER_ENVIRONMENT: "self-hosted" };
    expect(await end({ workflow: job("name: x"), environment })).toBeUndefined();
  });

  test.each<[string, Given]>([
    ["an expression", { workflow: job(`timeout-minutes: \${{ inputs.minutes }}`) }],
    ["no number", { workflow: job("timeout-minutes: soon") }],
    ["nothing, since the file is not there", {}],
    ["nothing that can be read", { workflow: "jobs: [" }],
    ["nothing of this job", { workflow: "jobs:\n  other:\n    timeout-minutes: 3\n" }],
    [
      "something, and nobody says when it began",
      { workflow: job("timeout-minutes: 30"), environment: { GITHUB_EVENT_PATH: "/nowhere" } },
    ],
    [
      "something, elsewhere than on GitHub",
      { workflow: job("timeout-minutes: 30"), environment: { GITHUB_WORKFLOW_REF: "" } },
    ],
  ])("nobody says where the file has %s", async (_, given) => {
    expect(await end(given)).toBeUndefined();
  });
});
