/** Owns the matrix: what is missing, shared out to jobs so that no derivation is built twice. Pure. */

import type { StorePath } from "../domain/store-path.ts";
import type { SurveyedTarget } from "./survey.ts";

export interface MatrixEntry {
  readonly name: string;
  /** One per line, as the input `targets` takes them. */
  readonly targets: string;
  readonly system: string;
  readonly "runs-on": string;
}

const RUNNERS: Readonly<Record<string, string>> = {
  "x86_64-linux": "ubuntu-latest",
  "i686-linux": "ubuntu-latest",
  "aarch64-linux": "ubuntu-24.04-arm",
  "aarch64-darwin": "macos-latest",
  "x86_64-darwin": "macos-15-intel",
};

/** GitHub's own bound on the jobs of one matrix. */
const JOBS_MOST = 256;

/** Targets that lack the same derivation come into one job. */
export function matrixOf(targets: readonly SurveyedTarget[]): MatrixEntry[] {
  const missing = targets.filter(({ verdict }) => verdict.kind === "missing");
  const joined = new Joined();
  for (const target of missing) {
    for (const key of sharedKeys(target)) joined.join(`target ${target.name}`, key);
  }
  const groups = new Map<string, SurveyedTarget[]>();
  for (const target of missing) {
    const key = joined.groupOf(`target ${target.name}`);
    const group = groups.get(key);
    if (group) group.push(target);
    else groups.set(key, [target]);
  }
  const entries = [...groups.values()].map(entry);
  return entries.length <= JOBS_MOST ? entries : folded(entries);
}

function sharedKeys({ verdict, system }: SurveyedTarget): string[] {
  const drvPaths: readonly StorePath[] = verdict.kind === "missing" ? verdict.missing.source : [];
  return drvPaths.map((drvPath) => `${system} ${drvPath}`);
}

/** Which keys belong together, however they came to: disjoint sets, each named by one of its keys. */
class Joined {
  private readonly parents = new Map<string, string>();

  groupOf(key: string): string {
    let at = key;
    for (let up = this.parents.get(at); up !== undefined; up = this.parents.get(at)) {
      // Half the way is cut on each walk, so that walks stay short.
      const above = this.parents.get(up);
      if (above !== undefined) this.parents.set(at, above);
      at = up;
    }
    return at;
  }

  join(a: string, b: string): void {
    const [one, other] = [this.groupOf(a), this.groupOf(b)];
    if (one !== other) this.parents.set(other, one);
  }
}

function entry(group: readonly SurveyedTarget[]): MatrixEntry {
  const [first] = group;
  const system = first?.system ?? "";
  return {
    name: `${first?.name ?? ""}${group.length > 1 ? ` and ${group.length - 1} more` : ""}`,
    targets: group.map(line).join("\n"),
    system,
    "runs-on": RUNNERS[system] ?? "self-hosted",
  };
}

/** The target as a line again, its attributes kept; a member of a set is named by itself. */
function line({ name, target, pinName }: SurveyedTarget): string {
  const attributes = [
    ...(pinName ? [`pin=${pinName}`] : []),
    ...(target.priority === 50 ? [] : [`priority=${target.priority}`]),
    ...(target.space === undefined ? [] : [`space=${target.space}B`]),
    ...(target.system === undefined ? [] : [`system=${target.system}`]),
    ...(target.closure === "build" ? ["closure=build"] : []),
  ];
  return [name, ...attributes].join(" ");
}

function folded(entries: readonly MatrixEntry[]): MatrixEntry[] {
  const systems = [...new Set(entries.map(({ system }) => system))];
  const most = Math.floor(JOBS_MOST / systems.length);
  return systems.flatMap((system) => {
    const mine = entries.filter((one) => one.system === system);
    const size = Math.ceil(mine.length / most);
    const parts: MatrixEntry[] = [];
    for (let at = 0; at < mine.length; at += size) {
      const part = mine.slice(at, at + size);
      const [first] = part;
      if (!first) continue;
      const more = part.length > 1 ? ` and ${part.length - 1} more` : "";
      parts.push({
        ...first,
        name: `${first.name}${more}`,
        targets: part.map(({ targets }) => targets).join("\n"),
      });
    }
    return parts;
  });
}
