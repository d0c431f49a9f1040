/** Owns the proof that the YAML of the documents runs, not only reads: as a job of a project, on act. */

import { describe, expect, test } from "@jest/globals";
import { parse, stringify } from "yaml";
import { type Block, blocksOf, documents } from "../docs/documents.ts";
import { ACT, usesOf } from "./act.ts";
import { NIX } from "./job.ts";
import { failed, startProject } from "./project.ts";

const withAct = ACT === undefined ? describe.skip : describe;

/** What can stand in a project of its own: a list of steps, or a whole workflow. */
function workflowOf({ text }: Block): string | undefined {
  const value = parse(text) as unknown;
  const uses = usesOf(value);
  if (!uses.some((one) => one.startsWith("nix-cache-preflight/"))) return undefined;
  if (!Array.isArray(value)) return uses.length > 0 && /^jobs:/m.test(text) ? text : undefined;
  // Whoever copies the steps has checked out and installed Nix before them.
  const before = ["actions/checkout@v5", "cachix/install-nix-action@v31"].filter(
    (one) => !uses.includes(one),
  );
  const steps = [...before.map((one) => ({ uses: one })), ...(value as unknown[])];
  return stringify({ on: "push", jobs: { documented: { "runs-on": "ubuntu-latest", steps } } });
}

const RUNNABLE = (await documents())
  .flatMap(blocksOf)
  .filter(({ language }) => /^ya?ml$/.test(language))
  .flatMap((block) => {
    const workflow = workflowOf(block);
    return workflow === undefined ? [] : [{ ...block, workflow }];
  });

withAct(`YAML of the documents, run on ${NIX}`, () => {
  test.each(RUNNABLE)("$file:$line", async ({ workflow }) => {
    await using project = await startProject({ "documented.yml": workflow });
    expect(failed(await project.example("documented.yml", "push"))).toEqual([]);
  });
});
