/** Owns what a daemon lets a user whom it does not trust: from which caches it fetches, and by whose keys. */

import { join } from "node:path";
import { startMachine } from "../../scripts/machine.ts";
import { startDaemon } from "../e2e/daemon.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import { newKey } from "../support/keys.ts";
import type { Comparison } from "./difference.ts";
import { type Court, ended, QUICK } from "./judges.ts";
import { type MadeUp, madeUp, narInfoText, writeCache } from "./made-up.ts";
import { answerOf } from "./ours.ts";

/** Which cache has the path: one the daemon fetches from, one it lets users add, or one of the user's own. */
type Place = "daemon" | "allowed" | "other";

export interface DaemonWorld {
  readonly what: string;
  /** The user's lines of Nix's configuration. */
  readonly settings: readonly string[];
  readonly place: Place;
  readonly signed: "by the daemon's key" | "by the user's key" | "not";
  readonly made: MadeUp;
}

export async function daemonWorlds(court: Court): Promise<Comparison<DaemonWorld>> {
  const [theirs, users] = [newKey("k-1"), newKey("k-2")];
  const directory = (place: Place) => join(court.folder, "daemon", place);
  const url = (place: Place) => `file://${directory(place)}`;
  const machine = await startMachine({
    configuration: [
      QUICK,
      `substituters = ${url("daemon")}`,
      `trusted-substituters = ${url("allowed")}`,
      `trusted-public-keys = ${theirs.publicKey.text}`,
    ].join("\n"),
  });
  const { storeDir, root } = machine;
  const [workspace, cache] = [join(root, "home"), join(root, "cache")];
  const daemon = await startDaemon({ machine, workspace, cache });
  const { environment } = daemon.how;

  const [allowed, other] = [url("allowed"), url("other")];
  const settings: readonly (readonly string[])[] = [
    [],
    [`substituters = ${allowed}`],
    [`extra-substituters = ${allowed}`],
    [`extra-substituters = ${allowed}/`],
    [`extra-substituters = ${allowed}?priority=5`],
    [`substituters = ${other}`],
    [`extra-substituters = ${other}`],
    [`extra-substituters = ${other}?trusted=1`],
    [`extra-substituters = ${other} ${allowed}`],
    ["substituters ="],
    [`substituters = ${url("daemon")}`],
    [`substituters = ${url("daemon")}/`],
    ["substitute = false"],
    ["substitute = true"],
    ["require-sigs = false"],
    ["trusted-public-keys ="],
    [`trusted-public-keys = ${users.publicKey.text}`],
    [`extra-trusted-public-keys = ${users.publicKey.text}`],
    [`trusted-substituters = ${other}`],
    ["fallback = true"],
    ["fallback = false"],
    ["builders-use-substitutes = true"],
    ["always-allow-substitutes = true"],
    ["max-jobs = 0"],
    ["connect-timeout = 3"],
  ];
  const places: readonly Place[] = ["daemon", "allowed", "other"];
  const signers: readonly DaemonWorld["signed"][] = [
    "by the daemon's key",
    "by the user's key",
    "not",
  ];
  const world = (
    lines: readonly string[],
    place: Place,
    signed: DaemonWorld["signed"],
    next: Chance,
  ): DaemonWorld => ({
    what: `${lines.join(", ").replaceAll(`file://${join(court.folder, "daemon")}/`, "")} (${place}, ${signed})`,
    settings: lines,
    place,
    signed,
    made: madeUp(storeDir, next, "path"),
  });
  const once = chance(19);
  const of = <T>(all: readonly T[], next: Chance): T => {
    const one = all[next(all.length)];
    if (one === undefined) throw new Error("nothing to choose from");
    return one;
  };
  return {
    name: "daemon",
    usual: 15,
    share: 4,
    always: settings.flatMap((lines) => {
      const asked = /user|require|keys/.test(lines.join()) ? signers : signers.slice(0, 1);
      const at = lines.join().includes("substituters") ? places : (["daemon"] as const);
      return at.flatMap((place) => asked.map((signed) => world(lines, place, signed, once)));
    }),
    make(next) {
      const [first, second] = [of(settings, next), of(settings, next)];
      const said = new Set(first.map((line) => line.split(" = ")[0]));
      const more = second.filter((line) => !said.has(line.split(" = ")[0]));
      return world([...first, ...more], of(places, next), of(signers, next), next);
    },
    async nix({ settings: lines, place, signed, made }) {
      const key = { "by the daemon's key": theirs, "by the user's key": users, not: undefined };
      const text = narInfoText(made, key[signed]);
      await writeCache({ directory: directory(place), storeDir }, [{ made, text }]);
      const env = { ...environment, NIX_CONFIG: lines.join("\n") };
      const { code } = await ended("nix-store", ["--realise", made.path], root, env);
      return code === 0 ? "fetches" : "does not";
    },
    async ours({ settings: lines, made }) {
      const env = { ...environment, NIX_CONFIG: lines.join("\n") };
      return (await answerOf(env, root, made.path)) ? "fetches" : "does not";
    },
    async end() {
      await daemon[Symbol.asyncDispose]();
      await machine[Symbol.asyncDispose]();
    },
  };
}
