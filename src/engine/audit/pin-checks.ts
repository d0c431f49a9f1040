/** What is asked of pins: are they there, on the expected path, and for how long yet. Pure. */

import type { PinKeep, StoredPin } from "../../domain/cache.ts";
import { count, formatBytes } from "../../domain/size.ts";
import { baseName } from "../../domain/store-path.ts";
import { isHit, type VerifiedTarget } from "../../domain/verdict.ts";
import { pinsOf, type WantedPin } from "../survey/found.ts";
import type { SurveyedTarget } from "../survey.ts";
import { type AuditRequest, type Check, type PinSizes, rule } from "./check.ts";

const DAY = 86_400_000;
const MEND = "run this action with mode: warm on the default branch: it sets the pin";

export function pinChecks(request: AuditRequest): Check[] {
  const { survey, pins, job, sizes } = request;
  const base = { group: "pins" as const, code: "NCP-603" as const };
  if (pins === "none") return [{ ...base, status: "pass", message: "our cache has no pins" }];
  if (pins === "hidden" || !survey.pins) {
    const own = survey.substituters.find(({ role }) => role === "own");
    const message = "the pins of our cache cannot be read";
    const mend =
      own?.state.kind === "reachable"
        ? { mend: "give the audit the input token: pins are listed to who may write" }
        : {};
    return [{ ...base, code: "NCP-600", status: "unknown", message, ...mend }];
  }
  const byName = new Map(survey.pins.map((pin) => [pin.name, pin]));
  return [
    ...(job.pin === "off"
      ? []
      : survey.targets.flatMap((target) =>
          pinsOf(target).flatMap((pin) => pinCheck(request, target, pin, byName)),
        )),
    ...nearestEnd(request, survey.pins),
    ...strangers(survey.targets, survey.pins, sizes),
  ];
}

function pinCheck(
  request: AuditRequest,
  { name }: SurveyedTarget,
  { name: pinName, storePath: path }: WantedPin,
  pins: ReadonlyMap<string, StoredPin>,
): Check[] {
  const base = { group: "pins" as const };
  const pin = pins.get(pinName);
  if (!pin) {
    // What our cache does not hold cannot be pinned: the closure's check says so.
    if (!request.survey.facts.answers.get(path)?.own) return [];
    const what = pinName.includes("^") ? `output ${baseName(path)} of ${name}` : name;
    const message = `${what} is in our cache and has no pin ${pinName}: it may be collected`;
    return [{ ...base, code: "NCP-603", status: "warn", message, mend: MEND }];
  }
  const age = ageWords(pin, request.now);
  if (pin.storePath !== path) {
    const message = `pin ${pinName} (${age}) is on ${baseName(pin.storePath)}, and ${name} is ${baseName(path)} now`;
    return [{ ...base, code: "NCP-604", status: "warn", message, mend: MEND }];
  }
  return [
    { ...base, code: "NCP-604", status: "pass", message: `pin ${pinName}: on its path, ${age}` },
  ];
}

function ageWords({ createdOn, revision }: StoredPin, now: number): string {
  const made = Date.parse(createdOn);
  const age = Number.isNaN(made) ? "of unknown age" : `${days((now - made) / DAY)} old`;
  return `${age}, revision ${revision}`;
}

function days(value: number): string {
  return count(Math.max(0, Math.floor(value)), "day");
}

/** What a `days:N` pin has left, in days; the others end with no day. */
function left(pin: StoredPin, keep: PinKeep, now: number): number | undefined {
  const made = Date.parse(pin.createdOn);
  if (keep.kind !== "days" || Number.isNaN(made)) return undefined;
  return keep.days - (now - made) / DAY;
}

/** A fifth of its time, and two days at least: a weekly audit has to see it coming. */
function isNear(keep: PinKeep, rest: number): boolean {
  return keep.kind === "days" && rest < Math.max(2, keep.days / 5);
}

function nearestEnd({ job, now }: AuditRequest, pins: readonly StoredPin[]): Check[] {
  const ending = pins
    .flatMap((pin) => {
      const keep = pin.keep ?? job.pinKeep;
      const rest = left(pin, keep, now);
      return rest === undefined ? [] : [{ pin, keep, rest }];
    })
    .sort((a, b) => a.rest - b.rest);
  const [first] = ending;
  const holds = first
    ? `the pin nearest to being lost is ${first.pin.name}, in ${days(first.rest)}`
    : "no pin runs out by its age";
  return rule(
    "pins",
    "NCP-605",
    holds,
    ending
      .filter(({ keep, rest }) => isNear(keep, rest))
      .map(({ pin, rest }) => ({
        status: rest <= 0 ? ("fail" as const) : ("warn" as const),
        message:
          rest <= 0
            ? `pin ${pin.name} has run out, ${days(-rest)} ago`
            : `pin ${pin.name} runs out in ${days(rest)}`,
        mend: "run mode: warm with force: true, or keep it longer with pin-keep: revisions:3",
      })),
  );
}

const NAMED = 5;

function strangers(
  targets: readonly SurveyedTarget[],
  pins: readonly StoredPin[],
  sizes: PinSizes | undefined,
): Check[] {
  const known = new Set(targets.flatMap((target) => [target.pinName, ...namesOf(target)]));
  // Of one that does not evaluate nobody knows which outputs it wants.
  const open = targets.filter(({ pinName, outputs }) => pinName !== "" && outputs === undefined);
  const unknown = pins
    .map(({ name }) => name)
    .filter((name) => !known.has(name) && !open.some((one) => name.startsWith(`${one.pinName}^`)));
  // What several of them share is not counted: at least so much.
  const alone = (sizes?.pins ?? []).reduce(
    (all, pin) => all + (unknown.includes(pin.name) ? pin.alone : 0),
    0,
  );
  const goes = alone > 0 ? `; without them at least ${formatBytes(alone)} could go` : "";
  const more = unknown.length > NAMED ? ` and ${unknown.length - NAMED} more` : "";
  return rule(
    "pins",
    "NCP-606",
    "every pin is a target's",
    unknown.length === 0
      ? []
      : [
          {
            status: "warn",
            message: `${unknown.slice(0, NAMED).join(", ")}${more}: no target of this audit has such a pin${goes}`,
            mend: "name its target here, or remove the pin: it keeps bytes that nobody asks for",
          },
        ],
  );
}

function namesOf(target: SurveyedTarget): string[] {
  return pinsOf(target).map(({ name }) => name);
}

const PUSH_AGAIN =
  "run this action with mode: warm on the default branch: it pushes what is lacking";

export function closureChecks({ survey, verified }: AuditRequest): Check[] {
  const outcomes = new Map(verified.map((one) => [one.target, one]));
  const own = survey.substituters.find(({ role }) => role === "own");
  const seen = new Set(survey.targets.map(({ name }) => name));
  const pins = verified.filter(({ target }) => !seen.has(target));
  return [
    ...survey.targets.map((target): Check => {
      const outcome = outcomes.get(target.name);
      if (outcome) return ofOutcome(outcome);
      if (own?.state.kind !== "reachable") return unasked(target);
      return ofVerdict(target);
    }),
    ...pins.map(ofOutcome),
  ];
}

function ofOutcome({ target, outcome, detail, paths }: VerifiedTarget): Check {
  const because = detail === undefined ? "" : `: ${detail}`;
  const base = { group: "closures" as const, code: "NCP-601" as const };
  switch (outcome) {
    case "verified":
      return { ...base, status: "pass", message: `${target} is complete, ${count(paths, "path")}` };
    case "upstream only":
      return { ...base, status: "pass", message: `${target} is another cache's${because}` };
    case "another build":
      return { ...base, status: "pass", message: `${target} is there${because}` };
    case "not yet visible":
    case "unknown":
      return {
        ...base,
        code: "NCP-600",
        status: "unknown",
        message: `${target} ${outcome}${because}`,
      };
    case "gone":
    case "rejected":
    case "mismatch":
      return {
        ...base,
        status: "fail",
        message: `${target} is ${outcome}${because}`,
        mend: PUSH_AGAIN,
      };
    default:
      return outcome satisfies never;
  }
}

function unasked({ name }: SurveyedTarget): Check {
  const message = `${name}: our cache could not be asked`;
  return { group: "closures", code: "NCP-600", status: "unknown", message };
}

function ofVerdict({ name, verdict }: SurveyedTarget): Check {
  const base = { group: "closures" as const, code: "NCP-602" as const };
  if (isHit(verdict)) return { ...base, status: "pass", message: `${name} is another cache's` };
  if (verdict.kind === "missing") {
    return {
      ...base,
      status: "warn",
      message: `${name} is not in our cache: it was never pushed, or has been collected`,
      mend: PUSH_AGAIN,
    };
  }
  const why = verdict.kind === "failed" ? "it does not evaluate" : "a cache did not answer";
  return { ...base, code: "NCP-600", status: "unknown", message: `${name}: ${why}` };
}

/** Of the quota: from here on the next release may be one too many. */
const NEAR = 0.8;

export function quotaChecks({ job, sizes }: AuditRequest): Check[] {
  if (!sizes) return [];
  const { quota } = job;
  const least = sizes.complete === "complete" ? "" : "at least ";
  const take = sizes.pins.length === 1 ? "takes" : "take";
  const taken = `${count(sizes.pins.length, "pin")} ${take} ${least}${formatBytes(sizes.bytes)}`;
  if (quota === undefined) return rule("quota", "NCP-607", taken, []);
  const of = `${taken} of ${formatBytes(quota)}`;
  if (sizes.bytes < quota * NEAR) return rule("quota", "NCP-607", of, []);
  const largest = sizes.pins
    .slice(0, 3)
    .map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`)
    .join(", ");
  return rule("quota", "NCP-607", of, [
    {
      status: sizes.bytes > quota ? "fail" : "warn",
      message: `${of}; the largest: ${largest}`,
      mend: "remove a pin, keep fewer revisions with pin-keep, or buy more; then say so in quota",
    },
  ]);
}
