/** Owns what the project is checked for beside its own code: its workflows, and its packages' known faults. */

import { execFile, spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** `skipped`: it cannot be asked here, and why is said on the terminal. */
export type Answer = "good" | "bad" | "skipped";

/** Every check in turn, by name. */
export async function* supplyChain(): AsyncGenerator<readonly [name: string, Answer]> {
  const { stdout } = await promisify(execFile)("./scripts/setup-tools");
  const tools = stdout.trim();
  const files = await workflowFiles();
  yield ["actionlint", await lint(join(tools, "actionlint"), files)];
  // Offline: a linter that asks GitHub gives another answer where it is not reached.
  const strict = ["--offline", "--pedantic", "--no-progress", "--config", ".github/zizmor.yml"];
  yield ["zizmor", await lint(join(tools, "zizmor"), [...strict, ...files, ...OTHERS])];
  yield ["npm audit", await npmAudit()];
}

const OTHERS = ["action.yml", join(".github", "dependabot.yml")];

/** Our own workflows, and those that users are given. */
export async function workflowFiles(): Promise<string[]> {
  const folders = await Promise.all(
    [join(".github", "workflows"), "examples"].map(async (folder) =>
      (await readdir(folder)).filter((name) => /\.ya?ml$/.test(name)).map((n) => join(folder, n)),
    ),
  );
  return folders.flat();
}

function lint(program: string, args: readonly string[]): Promise<Answer> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", (error: NodeJS.ErrnoException) => {
      console.log(error.code === "ENOENT" ? "it cannot be installed here" : String(error));
      resolve(error.code === "ENOENT" ? "skipped" : "bad");
    });
    child.on("close", (code) => resolve(code === 0 ? "good" : "bad"));
  });
}

/** Every registry has packages, and not every one has an audit: that it has none is no finding. */
async function npmAudit(): Promise<Answer> {
  const args = ["audit", "--json", "--fetch-retries=1", "--fetch-timeout=20000"];
  const text = await promisify(execFile)("npm", args).then(
    ({ stdout }) => stdout,
    (error: { stdout?: string }) => error.stdout ?? "",
  );
  const faults = knownFaults(text);
  if (faults === undefined) {
    console.log("the registry answers no audit");
    return "skipped";
  }
  for (const one of faults) console.log(one);
  return faults.length === 0 ? "good" : "bad";
}

/** What `npm audit --json` says, npm 7 and later: `name: severity`; undefined where there was no audit. */
export function knownFaults(text: string): string[] | undefined {
  try {
    const { vulnerabilities } = JSON.parse(text) as {
      vulnerabilities?: Record<string, { severity: string }>;
    };
    if (vulnerabilities === undefined) return undefined;
    return Object.entries(vulnerabilities).map(([name, { severity }]) => `${name}: ${severity}`);
  } catch {
    return undefined;
  }
}
