/** What Nix says of its work while it works: lines for people, and how far each path is. */

import * as z from "zod/mini";
import type { Progress } from "../domain/ports.ts";
import type { StorePath } from "../domain/store-path.ts";
import { clock } from "../host/clock.ts";
import type { ExecResult } from "../host/exec.ts";
import type { NixCommand, RunOptions } from "./command.ts";

/**
 * A line of `--log-format internal-json`; the same from 2.8 to 2.34. Source: Nix's
 * src/libutil/logging.cc (JSONLogger), and logging.hh for the numbers.
 */
const Line = z.object({
  action: z.string(),
  id: z.optional(z.number()),
  type: z.optional(z.number()),
  level: z.optional(z.number()),
  text: z.optional(z.string()),
  msg: z.optional(z.string()),
  fields: z.optional(z.array(z.union([z.string(), z.number()]))),
});

const ACTIVITY = { copyPath: 100, build: 105 } as const;
const RESULT = { buildLogLine: 101, progress: 105, expected: 106, hookLogLine: 107 } as const;
/** How Nix shows a line of the post-build-hook. */
export const HOOK_LINE = "post-build-hook: ";
/** What Nix tells people unless it is asked for more. */
const INFO = 3;
/** As much of the messages as a failure is explained with. */
const KEPT = 64 * 1024;

export interface Realised extends Pick<ExecResult, "code"> {
  /** The end of what Nix said, as text. */
  readonly stderr: string;
  /** Derivations whose build began, with the seconds until it ended. */
  readonly built: ReadonlyMap<StorePath, number>;
}

export interface RealiseListener {
  line(text: string): void;
  progress(progress: Progress): void;
  /** A build begins: here, where `machine` is empty, or on a remote builder. */
  begun?(drvPath: StorePath, machine: string): void;
}

/** Runs `nix-store --realise` and hears what it does. */
export async function realise(
  nix: NixCommand,
  args: readonly string[],
  listener: RealiseListener,
  options: Pick<RunOptions, "signal" | "deadline" | "environment">,
): Promise<Realised> {
  const reader = new ActivityReader(listener);
  const { code } = await nix.try(
    "nix-store",
    ["--realise", "--keep-going", "--log-format", "internal-json", ...args],
    { ...options, onErrorLine: (line) => reader.read(line) },
  );
  return { code, stderr: reader.text, built: reader.built };
}

interface Activity {
  readonly path: StorePath;
  readonly begun: number;
  bytes: number;
}

export class ActivityReader {
  readonly built = new Map<StorePath, number>();
  text = "";
  private readonly listener: RealiseListener;
  private readonly activities = new Map<number, Activity>();

  constructor(listener: RealiseListener) {
    this.listener = listener;
  }

  read(line: string): void {
    if (!line.startsWith("@nix ")) {
      this.say(line);
      return;
    }
    // Half of all lines, and of no use: what Nix expects changes with everything it looks at.
    if (line.includes(`"type":${RESULT.expected}}`)) return;
    const parsed = Line.safeParse(json(line.slice("@nix ".length)));
    if (!parsed.success) {
      this.say(line);
      return;
    }
    const { action, level = 0, msg, text } = parsed.data;
    if (action === "msg" && msg !== undefined && level <= INFO) this.say(msg);
    if (action === "start") {
      if (text && level <= INFO) this.say(text);
      this.begin(parsed.data);
    } else if (action === "result") this.result(parsed.data);
    else if (action === "stop") this.end(parsed.data.id);
  }

  private begin({ id, type, fields }: z.infer<typeof Line>): void {
    const [path, machine = ""] = fields ?? [];
    if (id === undefined || typeof path !== "string") return;
    if (type !== ACTIVITY.build && type !== ACTIVITY.copyPath) return;
    const activity = { path: path as StorePath, begun: clock.now(), bytes: 0 };
    this.activities.set(id, activity);
    if (type === ACTIVITY.build) this.built.set(activity.path, 0);
    this.listener.progress({ path: activity.path, state: "under way", bytes: 0 });
    if (type === ACTIVITY.build) this.listener.begun?.(activity.path, String(machine));
  }

  private result({ id, type, fields }: z.infer<typeof Line>): void {
    const [first] = fields ?? [];
    if (type === RESULT.buildLogLine) {
      this.say(String(first ?? ""));
      return;
    }
    if (type === RESULT.hookLogLine) {
      this.say(`${HOOK_LINE}${first ?? ""}`);
      return;
    }
    const activity = id === undefined ? undefined : this.activities.get(id);
    if (!activity || type !== RESULT.progress || typeof first !== "number") return;
    activity.bytes = first;
    this.listener.progress({ path: activity.path, state: "under way", bytes: first });
  }

  private end(id: number | undefined): void {
    const activity = id === undefined ? undefined : this.activities.get(id);
    if (!activity || id === undefined) return;
    this.activities.delete(id);
    const { path, begun, bytes } = activity;
    if (this.built.has(path)) this.built.set(path, (clock.now() - begun) / 1000);
    this.listener.progress({ path, state: "done", bytes });
  }

  private say(text: string): void {
    this.text = `${this.text}${text}\n`.slice(-KEPT);
    for (const line of text.split("\n")) this.listener.line(line);
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
