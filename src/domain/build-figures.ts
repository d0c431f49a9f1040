/** What builds took: the figures of earlier runs, by the name of the derivation. */

export interface BuildFigures {
  /** As `figuresName` gives it: every version of a package has the same. */
  readonly name: string;
  /** Bytes of the build directory at its fullest. */
  readonly buildBytes: number;
  /** NarSize of all outputs, in bytes. */
  readonly outputBytes: number;
  readonly seconds: number;
  /** Seconds of its build step in which Nix built nothing: its start, what is between builds, the look at the end. */
  readonly aroundSeconds?: number;
  /** Milliseconds since the epoch. */
  readonly takenAt: number;
  /** Files and folders of the build directory at its fullest, where it could be read. */
  readonly buildInodes?: number;
  /** The build died of it: what it takes is more than this. */
  readonly end?: "full disk";
}

/** Where figures are kept; whatever goes wrong there, the run goes on without. */
export interface FigureStore {
  recall(signal: AbortSignal): Promise<ReadonlyMap<string, BuildFigures>>;
  /** Adds to what is kept; of equal names the later figure stays. */
  remember(figures: readonly BuildFigures[], signal: AbortSignal): Promise<void>;
}

/**
 * The name a figure is kept under: without the parts that begin with a digit, so that a new version
 * finds the last one's, and `foo-1.0-vendor` is not `foo`.
 */
export function figuresName(derivationName: string): string {
  const [first = "", ...rest] = derivationName.split("-");
  return [first, ...rest.filter((part) => !/^\d/.test(part))].join("-");
}

/** Which of two stays: the later one, unless it died of a full disk before it took as much. */
export function laterFigures(before: BuildFigures | undefined, now: BuildFigures): BuildFigures {
  if (!before || now.end !== "full disk") return now;
  const took = ({ buildBytes, outputBytes }: BuildFigures) => buildBytes + outputBytes;
  return took(before) >= took(now) ? before : now;
}

export function figuresOf(
  figures: ReadonlyMap<string, BuildFigures>,
  derivationName: string,
): BuildFigures | undefined {
  return figures.get(figuresName(derivationName));
}

/** When a build ran, in milliseconds since the epoch. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** How long at least one of them lasted. */
export function busy(spans: readonly Span[]): number {
  let until = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    sum += Math.max(0, end - Math.max(start, until));
    until = Math.max(until, end);
  }
  return sum;
}

const VERSION = 1;
/** Names kept; the oldest figures go first. */
const KEPT = 5_000;

export function formatFigures(figures: Iterable<BuildFigures>): string {
  const kept = [...figures].sort((a, b) => b.takenAt - a.takenAt).slice(0, KEPT);
  return JSON.stringify({ version: VERSION, figures: kept });
}

/** Reads what `formatFigures` wrote; throws for anything else, with what is wrong. */
export function parseFigures(text: string): Map<string, BuildFigures> {
  const raw = JSON.parse(text) as { version?: unknown; figures?: unknown } | null;
  if (raw?.version !== VERSION) throw new Error(`it is of version ${String(raw?.version)}`);
  if (!Array.isArray(raw.figures)) throw new Error("a list is missing");
  const found = new Map<string, BuildFigures>();
  for (const one of raw.figures.slice(0, KEPT)) {
    const figures = parseOne(one);
    found.set(figures.name, figures);
  }
  return found;
}

function parseOne(raw: unknown): BuildFigures {
  if (typeof raw !== "object" || raw === null) throw new Error("a figure is no object");
  const fields = raw as Readonly<Record<string, unknown>>;
  const { name } = fields;
  if (typeof name !== "string" || !/^[0-9A-Za-z+\-._?=]{1,211}$/.test(name)) {
    throw new Error("a figure has no name");
  }
  const amount = (key: string): number => {
    const value = fields[key];
    if (typeof value !== "number" || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
      throw new Error(`${name} has no ${key}`);
    }
    return value;
  };
  return {
    name,
    buildBytes: amount("buildBytes"),
    outputBytes: amount("outputBytes"),
    seconds: amount("seconds"),
    takenAt: amount("takenAt"),
    ...(fields["end"] === "full disk" ? { end: "full disk" as const } : {}),
    ...(fields["aroundSeconds"] === undefined ? {} : { aroundSeconds: amount("aroundSeconds") }),
    ...(fields["buildInodes"] === undefined ? {} : { buildInodes: amount("buildInodes") }),
  };
}
