/** Owns the proof that the YAML of the documents runs, not only reads: as a job of a project, on act. */

import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { parse, stringify } from "yaml";
import { type Block, blocksOf, documents } from "../docs/documents.ts";
import { ACT, usesOf } from "./act.ts";
import { NIX } from "./job.ts";
import { failed, type Project, startProject, triggers } from "./project.ts";

const withAct = ACT === undefined ? describe.skip : describe;

/** What can stand in a project of its own: a list of steps, or a whole workflow. */
function workflowOf({ text }: Block): string | undefined {
  const value = parse(text) as unknown;
  const uses = usesOf(value);
  if (!uses.some((one) => one.startsWith("nix-cache-preflight/"))) return undefined;
  // act has no containers here; ci.yml has one of Debian and one of Alpine.
  if (/^ +container:/m.test(text)) return undefined;
  if (!Array.isArray(value)) {
    if (!/^jobs:/m.test(text)) return undefined;
    return /^on:/m.test(text) ? text : `on: { push: {} }\n${text}`;
  }
  // Whoever copies the steps has checked out and installed Nix before them.
  const before = ["actions/checkout@v5", "cachix/install-nix-action@v31"].filter(
    (one) => !uses.includes(one),
  );
  const steps = [...before.map((one) => ({ uses: one })), ...(value as unknown[])];
  return stringify({
    on: { push: {} },
    jobs: { documented: { "runs-on": "ubuntu-latest", steps } },
  });
}

const RUNNABLE = (await documents())
  .flatMap(blocksOf)
  // Its project has no flake: without-flakes.test.ts has such ones.
  .filter(({ file }) => file !== "docs/without-flakes.md")
  .filter(({ language }) => /^ya?ml$/.test(language))
  .flatMap((block) => {
    const workflow = workflowOf(block);
    return workflow === undefined ? [] : [{ ...block, workflow }];
  });

/** A repository as the block speaks of it: with its flake in the folder that it works in. */
async function enterFolder({ repository, commit }: Project, workflow: string): Promise<void> {
  const [, folder] = /working-directory: (\S+)/.exec(workflow) ?? [];
  if (folder === undefined) return;
  for (const name of ["flake.nix", "flake.lock"]) {
    await cp(join(repository, name), join(repository, folder, name));
    await writeFile(join(repository, name), "{ not here }");
  }
  await commit();
}

withAct(`YAML of the documents, run on ${NIX}`, () => {
  test.each(RUNNABLE)("$file:$line", async ({ workflow }) => {
    await using project = await startProject({ "documented.yml": workflow });
    await enterFolder(project, workflow);
    const [event = "push"] = triggers(workflow);
    const run = await project.example("documented.yml", event);
    expect(failed(run)).toEqual([]);
    expect(run.steps.length).toBeGreaterThan(0);
  });

  test("README.md's first is good for a flake without packages, too", async () => {
    const first = RUNNABLE.find(({ file }) => file === "README.md");
    if (first === undefined) throw new Error("README.md has no YAML");
    await using project = await startProject({ "documented.yml": first.workflow });
    const flake = join(project.repository, "flake.nix");
    const text = await readFile(flake, "utf8");
    const without = text.replace(/packages\.\$\{system\} = \{[^}]*\};/, "");
    expect(without).not.toBe(text);
    await writeFile(flake, without);
    await project.commit();
    expect(failed(await project.example("documented.yml", "push"))).toEqual([]);
  });
});
