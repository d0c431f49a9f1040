/** Owns reading workflow files: other people's YAML, so nothing in it may cost more than its size. */

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
/** Bytes of one file; GitHub itself takes less. */
const BYTES_MOST = 512 * 1024;
/** Nodes that aliases may stand for: a few kilobytes of them can mean gigabytes. */
const ALIASES_MOST = 100;
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
        const reader = new Reader(root, file, await readBounded(join(root, file)));
        return { kind: "workflow", workflow: await reader.workflow() };
      } catch (error) {
        return { kind: "unreadable", file, why: describeError(error) };
      }
    }),
  );
}

async function readBounded(path: string): Promise<string> {
  const stats = await lstat(path);
  // A link could lead anywhere, and what is wrong with a file is quoted.
  if (!stats.isFile()) throw new Error("it is no plain file");
  if (stats.size > BYTES_MOST) throw new Error(`it has ${stats.size} bytes, over ${BYTES_MOST}`);
  return readFile(path, "utf8");
}

/** Used by its own repository as `./`. */
const OURS = "nix-cache-preflight";

class TooMuch extends Error {}

type Environment = ReadonlyMap<string, string>;

class Reader {
  private readonly root: string;
  private readonly file: string;
  private readonly lines = new LineCounter();
  private readonly document: Document;
  private readonly count: { steps: number };

  constructor(root: string, file: string, text: string, count = { steps: 0 }) {
    this.count = count;
    this.root = root;
    this.file = file;
    this.document = parseDocument(text, { lineCounter: this.lines, prettyErrors: false });
    const [error] = this.document.errors;
    if (error) {
      throw new Error(`line ${this.lines.linePos(error.pos[0]).line}: ${error.message}`);
    }
    // Throws where aliases stand for more than that; the nodes are read one by one below.
    this.document.toJS({ maxAliasCount: ALIASES_MOST });
  }

  async workflow() {
    const root = this.document.contents;
    const on = this.get(root, "on");
    const environment = this.texts(this.get(root, "env"));
    const jobs: WorkflowJob[] = [];
    for (const [id, job] of this.entries(this.get(root, "jobs"))) {
      jobs.push(await this.job(id, job, environment));
    }
    return { file: this.file, triggers: new Set(this.names(on)), jobs };
  }

  /** What an action.yml calls itself, as a repository would be called. */
  title(): string {
    return this.text(this.get(this.document.contents, "name")).toLowerCase().replaceAll(" ", "-");
  }

  /** The steps of a composite action; none of what runs on its own. */
  async compositeSteps(environment: Environment, depth: number): Promise<WorkflowStep[]> {
    return this.steps(
      this.get(this.get(this.document.contents, "runs"), "steps"),
      environment,
      depth,
    );
  }

  private async job(id: string, job: Node | null, above: Environment): Promise<WorkflowJob> {
    const environment = new Map([...above, ...this.texts(this.get(job, "env"))]);
    const runsOn = this.get(job, "runs-on");
    const calls = this.get(job, "uses");
    const container = this.get(job, "container");
    return {
      id,
      where: this.where(job),
      condition: this.text(this.get(job, "if")),
      container: this.text(isMap(container) ? this.get(container, "image") : container),
      runsOn: this.names(isMap(runsOn) ? this.get(runsOn, "labels") : runsOn).join(" "),
      steps: await this.steps(this.get(job, "steps"), environment, 0),
      calls: parseUses(this.text(calls), this.comment(calls)),
    };
  }

  private async steps(list: Node | null, above: Environment, depth: number) {
    const steps: WorkflowStep[] = [];
    for (const item of isSeq(list) ? list.items : []) {
      if (++this.count.steps > STEPS_MOST) throw new TooMuch(`it has over ${STEPS_MOST} steps`);
      const node = this.resolve(item);
      const uses = this.get(node, "uses");
      const step: WorkflowStep = {
        where: this.where(node),
        uses: parseUses(this.text(uses), this.comment(uses)),
        inputs: new Map(
          [...this.texts(this.get(node, "with"))].map(([name, value]) => [
            name.toLowerCase(),
            value,
          ]),
        ),
        run: this.text(this.get(node, "run")),
        condition: this.text(this.get(node, "if")),
        environment: new Map([...above, ...this.texts(this.get(node, "env"))]),
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
        const reader = new Reader(
          this.root,
          file,
          await readBounded(join(this.root, file)),
          this.count,
        );
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

  private resolve(node: unknown): Node | null {
    const alias = node as { resolve?: (document: Document) => Node | undefined } | null;
    return typeof alias?.resolve === "function"
      ? (alias.resolve(this.document) ?? null)
      : ((node as Node | null | undefined) ?? null);
  }

  private get(node: Node | null, name: string): Node | null {
    return isMap(node) ? this.resolve(node.get(name, true)) : null;
  }

  private entries(node: Node | null): [string, Node | null][] {
    if (!isMap(node)) return [];
    return node.items.map(({ key, value }) => [this.text(this.resolve(key)), this.resolve(value)]);
  }

  private texts(node: Node | null): Map<string, string> {
    return new Map(this.entries(node).map(([name, value]) => [name, this.text(value)]));
  }

  /** `push`, `[push, pull_request]` or the keys of a map. */
  private names(node: Node | null): string[] {
    if (isMap(node)) return this.entries(node).map(([name]) => name);
    if (isSeq(node)) return node.items.map((item) => this.text(this.resolve(item)));
    const text = this.text(node);
    return text === "" ? [] : [text];
  }

  private text(node: Node | null): string {
    return isScalar(node) && node.value !== null ? String(node.value) : "";
  }

  private comment(node: Node | null): string {
    return isScalar(node) ? (node.comment ?? "") : "";
  }

  private where(node: Node | null): string {
    const at = node?.range?.[0];
    return at === undefined ? this.file : `${this.file}:${this.lines.linePos(at).line}`;
  }
}
