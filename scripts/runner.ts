/** Owns the runner's contract: runs the bundled action as GitHub's runner does, and reads what it left. */

import { spawn } from "node:child_process";
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parse } from "yaml";

export interface StepRequest {
  /** The folder with action.yml. */
  readonly action: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly workspace: string;
  /** Where the process begins: the workspace, unless said. */
  readonly cwd?: string;
  /** A folder of the job's own, kept over its steps: RUNNER_TEMP. */
  readonly temp: string;
  readonly eventName: string;
  readonly event: unknown;
  readonly ref?: string;
  /** What the machine has beside the runner's own variables: PATH, HOME, NIX_…. */
  readonly environment: Readonly<Record<string, string>>;
  /** A hosted one is thrown away after the job; that is what is taken for granted. */
  readonly runner?: "github-hosted" | "self-hosted";
  /** STATE_… of an earlier stage. */
  readonly state?: Readonly<Record<string, string>>;
  /** The program that it starts the action with; without one, this Node. */
  readonly node?: string;
  /** Who the runner is, where that is not who asks. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** A command that the program is started through, as who asks: it becomes the user by itself. */
  readonly through?: readonly string[];
  /** Set over the runner's own variables: what a hostile step of the job would like to do. */
  readonly forged?: Readonly<Record<string, string>>;
  readonly onLine?: (line: string) => void;
  /** Sends `signal` after so many milliseconds, or at the first line that matches. */
  readonly kill?: { readonly at: number | RegExp; readonly signal: NodeJS.Signals };
}

export interface Annotation {
  readonly level: string;
  readonly title: string;
  readonly message: string;
}

export interface StageResult {
  /** Undefined where a signal ended it. */
  readonly exitCode: number | undefined;
  /** What the job's log would show: commands taken out, masks applied. */
  readonly log: string;
  readonly raw: string;
  readonly outputs: Readonly<Record<string, string>>;
  readonly state: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly summary: string;
  readonly annotations: readonly Annotation[];
}

interface ActionFile {
  readonly inputs: Record<string, { default?: string }>;
  readonly outputs: Record<string, unknown>;
  readonly runs: { using: string; main: string; post: string };
}

/** GitHub refuses a larger summary whole. */
const SUMMARY_MOST = 1024 * 1024;

/** Runs `main` or `post` of the action. */
export async function runStage(stage: "main" | "post", request: StepRequest): Promise<StageResult> {
  const action = parse(await readFile(join(request.action, "action.yml"), "utf8")) as ActionFile;
  if (action.runs.using !== "node24") throw new Error(`runs.using is ${action.runs.using}`);
  await mkdir(request.temp, { recursive: true });
  const commands = await mkdtemp(join(request.temp, "_runner_file_commands-"));
  const file = (name: string) => join(commands, name);
  const names = ["output", "env", "path", "state", "summary"];
  await Promise.all(names.map((name) => writeFile(file(name), "")));
  if (request.user) {
    const { uid, gid } = request.user;
    const given = [request.temp, commands, ...names.map(file)];
    await Promise.all(given.map((path) => chown(path, uid, gid)));
  }
  const eventPath = join(request.temp, "_github_workflow", "event.json");
  await mkdir(join(request.temp, "_github_workflow"), { recursive: true });
  await writeFile(
    eventPath,
    typeof request.event === "string" ? request.event : JSON.stringify(request.event),
  );

  const environment: Record<string, string> = {
    ...request.environment,
    CI: "true",
    GITHUB_ACTIONS: "true",
    GITHUB_WORKSPACE: request.workspace,
    GITHUB_EVENT_NAME: request.eventName,
    GITHUB_EVENT_PATH: eventPath,
    GITHUB_REF: request.ref ?? "refs/heads/main",
    GITHUB_REPOSITORY: "owner/repository",
    GITHUB_SERVER_URL: "https://github.com",
    GITHUB_OUTPUT: file("output"),
    GITHUB_ENV: file("env"),
    GITHUB_PATH: file("path"),
    GITHUB_STATE: file("state"),
    GITHUB_STEP_SUMMARY: file("summary"),
    RUNNER_OS: "Linux",
    RUNNER_ARCH: "X64",
    RUNNER_NAME: "loopback",
    RUNNER_ENVIRONMENT: request.runner ?? "github-hosted",
    RUNNER_TEMP: request.temp,
    RUNNER_TOOL_CACHE: join(request.temp, "_tool"),
  };
  for (const [name, { default: value }] of Object.entries(action.inputs)) {
    environment[inputVariable(name)] = request.inputs[name] ?? value ?? "";
  }
  // The runner only warns of inputs that are not declared, and passes them all the same.
  for (const [name, value] of Object.entries(request.inputs)) {
    environment[inputVariable(name)] ??= value;
  }
  for (const [name, value] of Object.entries(request.state ?? {})) {
    environment[`STATE_${name}`] = value;
  }

  Object.assign(environment, request.forged);

  const entry = resolve(request.action, action.runs[stage]);
  const { exitCode, raw } = await node(entry, environment, request);
  const summary = await readFile(file("summary"), "utf8");
  if (Buffer.byteLength(summary) > SUMMARY_MOST) throw new Error("the summary is over 1 MiB");
  const outputs = await commandFile(file("output"));
  for (const name of Object.keys(outputs)) {
    if (!(name in action.outputs)) throw new Error(`output ${name} is not in action.yml`);
  }
  const { log, annotations } = readLog(raw);
  const result = {
    exitCode,
    raw,
    log,
    annotations,
    outputs,
    summary,
    state: await commandFile(file("state")),
    environment: await commandFile(file("env")),
  };
  await rm(commands, { recursive: true });
  return result;
}

function inputVariable(name: string): string {
  return `INPUT_${name.replaceAll(" ", "_").toUpperCase()}`;
}

function node(
  entry: string,
  environment: Record<string, string>,
  { workspace, cwd = workspace, onLine, kill, ...request }: StepRequest,
): Promise<{ exitCode: number | undefined; raw: string }> {
  const { through = [], user, node: program = process.execPath } = request;
  return new Promise((done, fail) => {
    const [command = "", ...args] = [...through, program, entry];
    const child = spawn(command, args, {
      cwd,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
      ...(through.length > 0 ? {} : user),
    });
    let raw = "";
    let rest = "";
    const read = (chunk: Buffer) => {
      raw += chunk;
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        onLine?.(line);
        if (kill?.at instanceof RegExp && kill.at.test(line)) child.kill(kill.signal);
      }
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    const timer =
      typeof kill?.at === "number" ? setTimeout(() => child.kill(kill.signal), kill.at) : undefined;
    child.on("error", fail);
    child.on("close", (code) => {
      clearTimeout(timer);
      done({ exitCode: code ?? undefined, raw });
    });
  });
}

/** `NAME=VALUE` or `NAME<<DELIMITER`; a delimiter that does not come back fails the step. */
async function commandFile(path: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const lines = (await readFile(path, "utf8")).split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    if (line === "") continue;
    const heredoc = /^([^=<]+)<<(.+)$/.exec(line);
    const plain = /^([^=]+)=(.*)$/.exec(line);
    if (heredoc?.[1] && heredoc[2]) {
      const value: string[] = [];
      for (at++; lines[at] !== heredoc[2]; at++) {
        const next = lines[at];
        if (next === undefined) throw new Error(`${path}: delimiter ${heredoc[2]} is missing`);
        value.push(next);
      }
      found[heredoc[1]] = value.join("\n");
    } else if (plain?.[1]) found[plain[1]] = plain[2] ?? "";
    else throw new Error(`${path}: "${line}" is not a command`);
  }
  return found;
}

function readLog(raw: string): { log: string; annotations: Annotation[] } {
  const masks: string[] = [];
  const annotations: Annotation[] = [];
  const shown: string[] = [];
  for (const line of raw.split("\n")) {
    const command = /^::([a-z-]+)(?: ([^:]*(?::[^:]+)*?))?::(.*)$/.exec(line.trimStart());
    if (!command) {
      shown.push(line);
      continue;
    }
    const [, name = "", properties = "", data = ""] = command;
    const message = unescapeData(data);
    if (name === "add-mask") masks.push(...[message, ...message.split("\n")].filter(Boolean));
    else if (name === "group") shown.push(`▸ ${message}`);
    else if (["error", "warning", "notice"].includes(name)) {
      const title = unescapeData(/(?:^|,)title=([^,]*)/.exec(properties)?.[1] ?? "");
      annotations.push({ level: name, title, message });
      shown.push(`${name[0]?.toUpperCase()}${name.slice(1)}: ${message}`);
    } else if (!["endgroup", "debug"].includes(name)) {
      throw new Error(`the log holds an unknown command: ${line}`);
    }
  }
  let log = shown.join("\n");
  for (const mask of masks) log = log.replaceAll(mask, "***");
  return { log, annotations };
}

function unescapeData(text: string): string {
  return text
    .replaceAll("%3A", ":")
    .replaceAll("%2C", ",")
    .replaceAll("%0D", "\r")
    .replaceAll("%0A", "\n")
    .replaceAll("%25", "%");
}
