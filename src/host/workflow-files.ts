/** Reads workflow files: other people's YAML, so nothing in it may cost more than its size. */

import { lstat, readdir, readFile } from "node:fs/promises";
import { join, normalize } from "node:path";
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { describeError } from "../domain/errors.ts";
import {
  parseUses,
  type WorkflowFile,
  type WorkflowJob,
  type WorkflowStep,
} from "../domain/workflow.ts";
import { isMissing } from "./disk.ts";

const FOLDER = ".github/workflows";
const FILES_MOST = 200;
/** Composite actions that use composite actions, and steps that all of it comes to. */
const DEPTH_MOST = 4;
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

/** Used by its own repository as `./`. */
const OURS = "nix-cache-preflight";

class TooMuch extends Error {}

type Environment = ReadonlyMap<string, string>;

class Reader {
  private readonly root: string;
  private readonly yaml: YamlFile;
  private readonly count: { steps: number };

  constructor(root: string, yaml: YamlFile, count = { steps: 0 }) {
    this.root = root;
    this.yaml = yaml;
    this.count = count;
  }

  async workflow() {
    const root = this.yaml.root;
    const on = this.yaml.get(root, "on");
    const environment = this.yaml.texts(this.yaml.get(root, "env"));
    const jobs: WorkflowJob[] = [];
    for (const [id, job] of this.yaml.entries(this.yaml.get(root, "jobs"))) {
      jobs.push(await this.job(id, job, environment));
    }
    return { file: this.yaml.file, triggers: new Set(this.yaml.names(on)), jobs };
  }

  /** What an action.yml calls itself, as a repository would be called. */
  title(): string {
    return this.yaml.text(this.yaml.get(this.yaml.root, "name")).toLowerCase().replaceAll(" ", "-");
  }

  /** The steps of a composite action; none of what runs on its own. */
  async compositeSteps(environment: Environment, depth: number): Promise<WorkflowStep[]> {
    return this.steps(
      this.yaml.get(this.yaml.get(this.yaml.root, "runs"), "steps"),
      environment,
      depth,
    );
  }

  private async job(id: string, job: YamlNode, above: Environment): Promise<WorkflowJob> {
    const environment = new Map([...above, ...this.yaml.texts(this.yaml.get(job, "env"))]);
    const runsOn = this.yaml.get(job, "runs-on");
    const calls = this.yaml.get(job, "uses");
    const container = this.yaml.get(job, "container");
    return {
      id,
      where: this.yaml.where(job),
      condition: this.yaml.text(this.yaml.get(job, "if")),
      container: this.yaml.text(this.yaml.either(container, "image")),
      runsOn: this.yaml.names(this.yaml.either(runsOn, "labels")).join(" "),
      steps: await this.steps(this.yaml.get(job, "steps"), environment, 0),
      calls: parseUses(this.yaml.text(calls), this.yaml.comment(calls)),
    };
  }

  private async steps(list: YamlNode, above: Environment, depth: number) {
    const steps: WorkflowStep[] = [];
    for (const node of this.yaml.items(list)) {
      if (++this.count.steps > STEPS_MOST) throw new TooMuch(`it has over ${STEPS_MOST} steps`);
      const uses = this.yaml.get(node, "uses");
      const step: WorkflowStep = {
        where: this.yaml.where(node),
        uses: parseUses(this.yaml.text(uses), this.yaml.comment(uses)),
        inputs: new Map(
          [...this.yaml.texts(this.yaml.get(node, "with"))].map(([name, value]) => [
            name.toLowerCase(),
            value,
          ]),
        ),
        run: this.yaml.text(this.yaml.get(node, "run")),
        condition: this.yaml.text(this.yaml.get(node, "if")),
        environment: new Map([...above, ...this.yaml.texts(this.yaml.get(node, "env"))]),
      };
      steps.push(...(await this.inlined(step, depth)));
    }
    return steps;
  }

  /** A composite action of this repository as its own steps; anything else as it is. */
  private async inlined(step: WorkflowStep, depth: number): Promise<WorkflowStep[]> {
    if (!step.uses?.name.startsWith("./") || depth >= DEPTH_MOST) return [step];
    const inside = normalize(step.uses.name);
    if (inside.startsWith("..")) return [step];
    for (const name of ["action.yml", "action.yaml"]) {
      const file = join(inside, name);
      try {
        const reader = new Reader(this.root, await YamlFile.read(this.root, file), this.count);
        if (reader.title() === OURS)
          return [{ ...step, uses: { ...step.uses, name: `./${OURS}` } }];
        const steps = await reader.compositeSteps(step.environment, depth + 1);
        return [step, ...steps.map((one) => this.withInputs(one, step))];
      } catch (error) {
        if (error instanceof TooMuch) throw error;
        // No such file, or one that GitHub would refuse: its own use says so.
      }
    }
    return [step];
  }

  /** `${{ inputs.x }}` of a composite action is what its caller gives. */
  private withInputs(step: WorkflowStep, caller: WorkflowStep): WorkflowStep {
    const put = (text: string) =>
      text.replace(
        /\$\{\{\s*inputs\.([A-Za-z_][0-9A-Za-z_-]*)\s*\}\}/g,
        (whole, name: string) => caller.inputs.get(name.toLowerCase()) ?? whole,
      );
    return {
      ...step,
      run: put(step.run),
      inputs: new Map([...step.inputs].map(([name, value]) => [name, put(value)])),
      condition: [caller.condition, step.condition].filter((one) => one !== "").join(" && "),
    };
  }
}

/** Bytes of one file; GitHub itself takes less. */
const BYTES_MOST = 512 * 1024;
/** Nodes that aliases may stand for: a few kilobytes of them can mean gigabytes. */
const ALIASES_MOST = 100;

export type YamlNode = Node | null;

export class YamlFile {
  /** Below the root it was read from. */
  readonly file: string;
  private readonly lines = new LineCounter();
  private readonly document: Document;

  private constructor(file: string, text: string) {
    this.file = file;
    this.document = parseDocument(text, { lineCounter: this.lines, prettyErrors: false });
    const [error] = this.document.errors;
    if (error) {
      throw new Error(`line ${this.lines.linePos(error.pos[0]).line}: ${error.message}`);
    }
    // Throws where aliases stand for more than that; the nodes are read one by one.
    this.document.toJS({ maxAliasCount: ALIASES_MOST });
  }

  /** Throws with what is wrong: no plain file, too large, no YAML, too many aliases. */
  static async read(root: string, file: string): Promise<YamlFile> {
    const path = join(root, file);
    const stats = await lstat(path);
    // A link could lead anywhere, and what is wrong with a file is quoted.
    if (!stats.isFile()) throw new Error("it is no plain file");
    if (stats.size > BYTES_MOST) throw new Error(`it has ${stats.size} bytes, over ${BYTES_MOST}`);
    return new YamlFile(file, await readFile(path, "utf8"));
  }

  get root(): YamlNode {
    return this.document.contents;
  }

  private resolve(node: unknown): YamlNode {
    const alias = node as { resolve?: (document: Document) => Node | undefined } | null;
    return typeof alias?.resolve === "function"
      ? (alias.resolve(this.document) ?? null)
      : ((node as YamlNode | undefined) ?? null);
  }

  get(node: YamlNode, name: string): YamlNode {
    return isMap(node) ? this.resolve(node.get(name, true)) : null;
  }

  entries(node: YamlNode): [string, YamlNode][] {
    if (!isMap(node)) return [];
    return node.items.map(({ key, value }) => [this.text(this.resolve(key)), this.resolve(value)]);
  }

  texts(node: YamlNode): Map<string, string> {
    return new Map(this.entries(node).map(([name, value]) => [name, this.text(value)]));
  }

  /** `push`, `[push, pull_request]` or the keys of a map. */
  names(node: YamlNode): string[] {
    if (isMap(node)) return this.entries(node).map(([name]) => name);
    if (isSeq(node)) return node.items.map((item) => this.text(this.resolve(item)));
    const text = this.text(node);
    return text === "" ? [] : [text];
  }

  text(node: YamlNode): string {
    return isScalar(node) && node.value !== null ? String(node.value) : "";
  }

  comment(node: YamlNode): string {
    return isScalar(node) ? (node.comment ?? "") : "";
  }

  where(node: YamlNode): string {
    const at = node?.range?.[0];
    return at === undefined ? this.file : `${this.file}:${this.lines.linePos(at).line}`;
  }

  /** The items of a list; none where it is no list. */
  items(node: YamlNode): YamlNode[] {
    return isSeq(node) ? node.items.map((item) => this.resolve(item)) : [];
  }

  /** Itself, or where it is a map the value of `name`. */
  either(node: YamlNode, name: string): YamlNode {
    return isMap(node) ? this.get(node, name) : node;
  }
}
