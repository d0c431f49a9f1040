/** Reading workflow files into what an audit looks at: jobs, steps, and composite actions put in their place. */

import { readdir } from "node:fs/promises";
import { join, normalize } from "node:path";
import { describeError } from "../domain/errors.ts";
import {
  type Bound,
  NO_SCOPE,
  type Permissions,
  parseUses,
  type Scope,
  type Trigger,
  type Workflow,
  type WorkflowFile,
  type WorkflowJob,
  type WorkflowStep,
} from "../domain/workflow.ts";
import { isMissing } from "./disk.ts";
import { YamlFile, type YamlNode } from "./yaml-file.ts";

const FOLDER = ".github/workflows";
const FILES_MOST = 200;
/** Composite actions that use composite actions (GitHub allows ten), and steps that all of it comes to. */
const DEPTH_MOST = 10;
const STEPS_MOST = 2_000;

/** Every workflow of the repository at `root`; an empty list where there is none. */
export async function readWorkflows(root: string): Promise<WorkflowFile[]> {
  const names = await readdir(join(root, FOLDER)).catch((error) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const files = names.filter((name) => /\.ya?ml$/.test(name)).sort();
  return Promise.all(
    files.slice(0, FILES_MOST).map(async (name): Promise<WorkflowFile> => {
      const file = `${FOLDER}/${name}`;
      try {
        const reader = new Reader(root, await YamlFile.read(root, file));
        return { kind: "workflow", workflow: await reader.workflow() };
      } catch (error) {
        return { kind: "unreadable", file, why: describeError(error) };
      }
    }),
  );
}

/**
 * `timeout-minutes` of one job as it is written; empty where it says none. Undefined where there is no such job, or no
 * such file that can be read: a job of a workflow that another one calls stands elsewhere.
 */
export async function writtenTimeout(
  root: string,
  file: string,
  job: string,
): Promise<string | undefined> {
  try {
    const yaml = await YamlFile.read(root, file);
    const node = yaml.get(yaml.get(yaml.root, "jobs"), job);
    return node === null ? undefined : yaml.text(yaml.get(node, "timeout-minutes"));
  } catch {
    return undefined;
  }
}

/** Used by its own repository as `./`. */
const OURS = "nix-cache-preflight";

class TooMuch extends Error {}

/** Keys of a step that are known, and say nothing of what runs. */
const STEP_KEYS = new Set(
  "id if name uses run with env shell working-directory continue-on-error timeout-minutes parallel background wait wait-all cancel".split(
    " ",
  ),
);

class Reader {
  private readonly root: string;
  private readonly yaml: YamlFile;
  private readonly count: { steps: number };
  /** What `defaults:` of the job or the workflow say. */
  private shell = "";

  constructor(root: string, yaml: YamlFile, count = { steps: 0 }) {
    this.root = root;
    this.yaml = yaml;
    this.count = count;
  }

  async workflow(): Promise<Workflow> {
    const { yaml } = this;
    const { root } = yaml;
    const on = yaml.get(root, "on");
    const scope = this.inner(NO_SCOPE, yaml.get(root, "env"));
    const cacheMode = yaml.text(yaml.get(root, "cache-mode"));
    const jobs: WorkflowJob[] = [];
    for (const [id, job] of yaml.entries(yaml.get(root, "jobs"))) {
      jobs.push(await this.job(id, job, scope, cacheMode));
    }
    const declared = ["workflow_call", "workflow_dispatch"].flatMap((event) =>
      yaml.entries(yaml.get(yaml.get(on, event), "inputs")),
    );
    return {
      file: yaml.file,
      name: yaml.text(yaml.get(root, "name")) || yaml.file,
      triggers: new Map(yaml.names(on).map((name) => [name, this.trigger(yaml.get(on, name))])),
      permissions: this.permissions(yaml.get(root, "permissions")),
      inputs: new Map(
        declared.map(([name, one]) => [name.toLowerCase(), yaml.text(yaml.get(one, "default"))]),
      ),
      jobs,
    };
  }

  private trigger(node: YamlNode): Trigger {
    const names = (key: string) => this.yaml.names(this.yaml.get(node, key));
    return {
      types: names("types"),
      branches: names("branches"),
      tags: names("tags"),
      workflows: names("workflows"),
    };
  }

  private permissions(node: YamlNode): Permissions {
    if (node === null) return undefined;
    const all = /^(read|write)-all$/.exec(this.yaml.text(node))?.[1];
    return all === undefined ? this.yaml.texts(node) : new Map([["*", all]]);
  }

  /** What an action.yml calls itself, as a repository would be called. */
  title(): string {
    return this.yaml.text(this.yaml.get(this.yaml.root, "name")).toLowerCase().replaceAll(" ", "-");
  }

  /** The steps of a composite action, with what its caller gives it; none of what runs on its own. */
  async compositeSteps(caller: WorkflowStep, depth: number): Promise<WorkflowStep[]> {
    const { yaml } = this;
    const inputs = new Map<string, Bound>();
    for (const [name, input] of yaml.entries(yaml.get(yaml.root, "inputs"))) {
      inputs.set(name.toLowerCase(), {
        text: yaml.text(yaml.get(input, "default")),
        scope: NO_SCOPE,
      });
    }
    for (const [name, text] of caller.inputs) inputs.set(name, { text, scope: caller.scope });
    const scope = { environment: new Map(), above: caller.scope, inputs };
    const steps = yaml.get(yaml.get(yaml.root, "runs"), "steps");
    return this.steps(steps, scope, caller.conditions, depth);
  }

  private async job(
    id: string,
    job: YamlNode,
    above: Scope,
    cacheMode: string,
  ): Promise<WorkflowJob> {
    const { yaml } = this;
    const scope = this.inner(above, yaml.get(job, "env"));
    const calls = yaml.get(job, "uses");
    const secrets = yaml.get(job, "secrets");
    const matrix = yaml.get(yaml.get(job, "strategy"), "matrix");
    this.shell = this.shellOf(job) || this.shellOf(yaml.root);
    return {
      id,
      where: yaml.where(job),
      condition: yaml.text(yaml.get(job, "if")),
      needs: yaml.names(yaml.get(job, "needs")),
      container: yaml.text(yaml.either(yaml.get(job, "container"), "image")),
      runsOn: yaml.names(yaml.either(yaml.get(job, "runs-on"), "labels")),
      environment: yaml.text(yaml.either(yaml.get(job, "environment"), "name")),
      permissions: this.permissions(yaml.get(job, "permissions")),
      cacheMode: yaml.text(yaml.get(job, "cache-mode")) || cacheMode,
      matrix: this.matrix(matrix),
      steps: await this.steps(yaml.get(job, "steps"), scope, [], 0),
      outputs: yaml.texts(yaml.get(job, "outputs")),
      calls: parseUses(yaml.text(calls), yaml.comment(calls)),
      given: lower(yaml.texts(yaml.get(job, "with"))),
      secrets: yaml.text(secrets) === "inherit" ? "inherit" : upper(yaml.texts(secrets)),
      scope,
    };
  }

  /** Its own lists, and what `include:` puts beside them. */
  private matrix(node: YamlNode): ReadonlyMap<string, readonly string[] | undefined> {
    const { yaml } = this;
    const values = new Map<string, readonly string[] | undefined>();
    const add = (name: string, more: readonly string[] | undefined) => {
      const before = values.get(name);
      if (values.has(name) && !before) return;
      const all = more && [...(before ?? []), ...more];
      values.set(name, all?.some((text) => text.includes("${{")) ? undefined : all);
    };
    for (const [name, value] of yaml.entries(node)) {
      if (name === "exclude") continue;
      if (name !== "include") add(name, yaml.isList(value) ? yaml.names(value) : undefined);
    }
    for (const one of yaml.items(yaml.get(node, "include"))) {
      for (const [name, value] of yaml.entries(one)) add(name, [yaml.text(value)]);
    }
    return values;
  }

  private shellOf(node: YamlNode): string {
    const { yaml } = this;
    return yaml.text(yaml.get(yaml.get(yaml.get(node, "defaults"), "run"), "shell"));
  }

  private inner(above: Scope, node: YamlNode): Scope {
    const environment = this.yaml.texts(node);
    return environment.size === 0 ? above : { environment, above, inputs: above.inputs };
  }

  private async steps(
    list: YamlNode,
    above: Scope,
    conditions: readonly Bound[],
    depth: number,
  ): Promise<WorkflowStep[]> {
    const { yaml } = this;
    const steps: WorkflowStep[] = [];
    for (const node of yaml.items(list)) {
      if (++this.count.steps > STEPS_MOST) throw new TooMuch(`it has over ${STEPS_MOST} steps`);
      // Steps that run side by side stand here one after the other: what each does is the same.
      const side = yaml.get(node, "parallel");
      if (side !== null && depth <= DEPTH_MOST) {
        const guard = { text: yaml.text(yaml.get(node, "if")), scope: above };
        const within = guard.text === "" ? conditions : [...conditions, guard];
        steps.push(...(await this.steps(side, above, within, depth + 1)));
        continue;
      }
      steps.push(...(await this.inlined(this.step(node, above, conditions), depth)));
    }
    return steps;
  }

  private step(node: YamlNode, above: Scope, conditions: readonly Bound[]): WorkflowStep {
    const { yaml } = this;
    const uses = yaml.get(node, "uses");
    const scope = this.inner(above, yaml.get(node, "env"));
    const own = { text: yaml.text(yaml.get(node, "if")), scope };
    return {
      where: yaml.where(node),
      id: yaml.text(yaml.get(node, "id")),
      uses: parseUses(yaml.text(uses), yaml.comment(uses)),
      inputs: lower(yaml.texts(yaml.get(node, "with"))),
      run: yaml.text(yaml.get(node, "run")),
      conditions: own.text === "" ? conditions : [...conditions, own],
      scope,
      continueOnError: yaml.text(yaml.get(node, "continue-on-error")),
      odd: yaml.entries(node).flatMap(([name]) => (STEP_KEYS.has(name) ? [] : [name])),
      folder: yaml.text(yaml.get(node, "working-directory")),
      shell: yaml.text(yaml.get(node, "shell")) || this.shell,
      composite: "no",
    };
  }

  /** A composite action of this repository as its own steps; anything else as it is. */
  private async inlined(step: WorkflowStep, depth: number): Promise<WorkflowStep[]> {
    if (!step.uses || step.uses.from === "elsewhere") return [step];
    const inside = normalize(step.uses.name);
    const unread = [{ ...step, composite: "unread" as const }];
    if (inside.startsWith("..") || depth >= DEPTH_MOST) return unread;
    for (const name of ["action.yml", "action.yaml"]) {
      const file = join(inside, name);
      try {
        const reader = new Reader(this.root, await YamlFile.read(this.root, file), this.count);
        if (reader.title() === OURS)
          return [{ ...step, uses: { ...step.uses, name: `./${OURS}` } }];
        const steps = await reader.compositeSteps(step, depth + 1);
        return steps.length === 0 ? unread : [{ ...step, composite: "read" }, ...steps];
      } catch (error) {
        if (error instanceof TooMuch) throw error;
        // No such file, or one that GitHub would refuse.
      }
    }
    return unread;
  }
}

function lower(texts: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...texts].map(([name, value]) => [name.toLowerCase(), value]));
}

function upper(texts: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...texts].map(([name, value]) => [name.toUpperCase(), value]));
}
