/** Proves a push: reads back from outside, past every local lookup cache, what our cache really serves. */

import { createHash } from "node:crypto";
import type { BinaryCache, Presence } from "../../domain/cache.ts";
import { describeError, UserError } from "../../domain/errors.ts";
import { sha256FromBytes } from "../../domain/hash.ts";
import type { VerifyLevel } from "../../domain/job.ts";
import { mapLimited } from "../../domain/limit.ts";
import { differences, type NarInfo, type PathInfo } from "../../domain/narinfo.ts";
import type { Clock, World } from "../../domain/ports.ts";
import { baseName, type StorePath } from "../../domain/store-path.ts";
import { holderWords, type VerificationOutcome } from "../../domain/verdict.ts";
import type { Lookup } from "../survey/lookup.ts";

export interface VerificationRequest {
  readonly roots: readonly StorePath[];
  /** The closure as our store has it; empty where the roots are not valid here. */
  readonly closure: ReadonlyMap<StorePath, PathInfo>;
  readonly level: VerifyLevel;
  /** Paths this run uploaded: a miss of one of these may yet become a hit. */
  readonly pushed: ReadonlySet<StorePath>;
  /** Milliseconds until a miss is believed. */
  readonly deadline: number;
}

export interface Verification {
  readonly outcome: VerificationOutcome;
  /** The path and why, where it is not verified. */
  readonly detail: string | undefined;
  readonly failing: readonly StorePath[];
  readonly paths: number;
  /** What our cache stores of them, compressed. */
  readonly bytes: number;
}

export interface Verifier {
  readonly cache: BinaryCache;
  readonly lookup: Lookup;
  readonly clock: Clock;
  /** Turns a NAR as stored into a NAR. */
  readonly decompress: World["decompress"];
  /** Members found good earlier in this run, at this level. */
  readonly good: Set<StorePath>;
  /** Hears of each path that is proved. */
  readonly told?: (path: StorePath, bytes: number) => void;
}

/** What came of one path. */
export type Member =
  | {
      readonly state: "good";
      readonly references: readonly StorePath[];
      /** 0 where another cache stores it. */
      readonly bytes: number;
    }
  | {
      readonly state: Exclude<VerificationOutcome, "verified">;
      readonly why: string;
      /** A NAR that broke off may come whole the next time; other questions were asked again already. */
      readonly next?: "may differ";
      /** Of what is there all the same. */
      readonly references?: readonly StorePath[];
    };

const PARALLEL = 64;

/** Verifies a target: its outputs in our cache, and every reference served by some cache. */
export async function verify(
  verifier: Verifier,
  request: VerificationRequest,
  signal: AbortSignal,
): Promise<Verification> {
  const until = verifier.clock.now() + request.deadline;
  for (let pause = 250; ; pause = Math.min(pause * 2, 10_000)) {
    const { mayChange, ...result } = await verifyOnce(verifier, request, signal);
    if (!mayChange || verifier.clock.now() + pause > until) return result;
    // Half of it is chance, so that many jobs do not ask in step.
    await verifier.clock.sleep(pause * (0.5 + Math.random() / 2), signal);
  }
}

async function verifyOnce(
  verifier: Verifier,
  request: VerificationRequest,
  signal: AbortSignal,
): Promise<Verification & { readonly mayChange: boolean }> {
  const roots = new Set(request.roots);
  const seen = new Set<StorePath>();
  const bad: { path: StorePath; member: Exclude<Member, { state: "good" }> }[] = [];
  // The roots alone come first: where one is another cache's, its closure is nothing of ours to prove.
  let wave: StorePath[] = [...roots];
  let bytes = 0;
  while (wave.length > 0) {
    for (const path of wave) seen.add(path);
    const next = new Set<StorePath>();
    await mapLimited(wave, PARALLEL, async (path) => {
      const member = await verifyMember(verifier, request, path, roots.has(path), signal);
      if (member.state !== "good") {
        bad.push({ path, member });
        for (const reference of member.references ?? [])
          if (!seen.has(reference)) next.add(reference);
        return;
      }
      bytes += member.bytes;
      verifier.told?.(path, member.bytes);
      for (const reference of member.references) if (!seen.has(reference)) next.add(reference);
    });
    if (bad.some(({ member }) => member.state === "upstream only")) break;
    for (const path of request.closure.keys()) if (!seen.has(path)) next.add(path);
    wave = [...next];
  }
  bad.sort((a, b) => SEVERITY.indexOf(a.member.state) - SEVERITY.indexOf(b.member.state));
  const [worst] = bad;
  return {
    mayChange: worst?.member.state === "not yet visible" || worst?.member.next === "may differ",
    outcome: worst?.member.state ?? "verified",
    detail: worst && `${baseName(worst.path)}: ${worst.member.why}`,
    failing: bad.map(({ path }) => path),
    paths: seen.size,
    bytes,
  };
}

/** The worst first: what a target with several troubles is called by. */
const SEVERITY: readonly VerificationOutcome[] = [
  "mismatch",
  "rejected",
  "gone",
  "upstream only",
  "not yet visible",
  "unknown",
  "another build",
];

async function verifyMember(
  verifier: Verifier,
  request: VerificationRequest,
  path: StorePath,
  isRoot: boolean,
  signal: AbortSignal,
): Promise<Member> {
  const { cache, lookup, good } = verifier;
  const presence = await cache.query(path, signal);
  if (presence.kind === "hit" && presence.origin === "own") {
    const { narInfo } = presence;
    const proved: Member = {
      state: "good",
      references: narInfo.references,
      bytes: narInfo.fileSize ?? narInfo.narSize,
    };
    if (good.has(path)) return proved;
    const trouble = await troubleOf(verifier, request, narInfo, signal);
    if (trouble) return trouble;
    good.add(path);
    return proved;
  }
  if (presence.kind === "refused") return { state: "rejected", why: presence.why };
  if (presence.kind === "gone") return lostNar(cache, presence.narInfo, signal);
  const { upstream } = await lookup.certain(path);
  const served = presence.kind === "hit" ? presence.narInfo : upstream?.narInfo;
  if (served) {
    // A reference may well be another cache's; a root we mean to pin may not.
    if (!isRoot) return { state: "good", references: served.references, bytes: 0 };
    return {
      state: "upstream only",
      why: `served by ${upstream ? holderWords(upstream) : cache.name}`,
    };
  }
  return absent(presence, request.pushed.has(path));
}

/** A cache that looks for itself says so of a NAR that is not whole, too: that is another trouble. */
async function lostNar(cache: BinaryCache, narInfo: NarInfo, signal: AbortSignal): Promise<Member> {
  const size = await cache.narSize(narInfo, signal).catch(() => undefined);
  if (size === undefined) return { state: "gone", why: "its narinfo is served, its NAR is not" };
  return { state: "mismatch", why: `its NAR has ${size} bytes, not ${narInfo.fileSize}` };
}

function absent(presence: Presence, pushed: boolean): Member {
  if (presence.kind === "unknown") return { state: "unknown", why: describeError(presence.cause) };
  if (pushed) return { state: "not yet visible", why: "it was uploaded and is not served" };
  return { state: "gone", why: "no cache serves it" };
}

async function troubleOf(
  { cache, decompress }: Verifier,
  { closure, level }: VerificationRequest,
  narInfo: NarInfo,
  signal: AbortSignal,
): Promise<Member | undefined> {
  const ours = closure.get(narInfo.storePath);
  const [difference] = ours ? differences(ours, narInfo) : [];
  if (ours && difference !== undefined) {
    return otherBytes({ cache, decompress }, ours, narInfo, difference, signal);
  }
  if (level === "narinfo") return undefined;
  try {
    const size = await cache.narSize(narInfo, signal);
    if (size === undefined) return { state: "gone", why: "its NAR is not there" };
    if (size !== "not told" && narInfo.fileSize !== undefined && size !== narInfo.fileSize) {
      return { state: "mismatch", why: `its NAR has ${size} bytes, not ${narInfo.fileSize}` };
    }
    if (level === "nar") return undefined;
    const why = await compareBytes(cache, narInfo, decompress, signal);
    return why === undefined ? undefined : { state: "mismatch", why };
  } catch (error) {
    signal.throwIfAborted();
    const why = describeError(error);
    return isBeyondUs(error)
      ? { state: "unknown", why }
      : { state: "unknown", why, next: "may differ" };
  }
}

/**
 * Of a derivation that is not reproducible, two builds have one path, and a cache keeps the first: it is
 * whole where the NAR that it serves is the one that its own narinfo names. Looked at whatever the level,
 * since a narinfo that says something else than our store may as well be a lie.
 */
async function otherBytes(
  { cache, decompress }: Pick<Verifier, "cache" | "decompress">,
  ours: PathInfo,
  narInfo: NarInfo,
  difference: string,
  signal: AbortSignal,
): Promise<Member> {
  const mismatch: Member = { state: "mismatch", why: difference };
  const isOtherBuild = ours.storePath === narInfo.storePath && ours.narHash !== narInfo.narHash;
  if (!isOtherBuild) return mismatch;
  try {
    const wrong = await compareBytes(cache, narInfo, decompress, signal);
    if (wrong !== undefined) return mismatch;
  } catch {
    signal.throwIfAborted();
    return mismatch;
  }
  return {
    state: "another build",
    why: "it is there whole, as another build made it: the derivation is not reproducible",
    references: narInfo.references,
  };
}

/** A NAR that only Nix can unpack: no fault of its bytes, and no other the next time. */
function isBeyondUs(error: unknown): boolean {
  // NCP-356: the program that unpacks it is not on this machine.
  return error instanceof UserError && (error.code === "NCP-309" || error.code === "NCP-356");
}

/**
 * What is wrong, in words; undefined where every byte is right. Throws where the journey failed, or where
 * it cannot be unpacked here: neither says anything of the bytes.
 */
async function compareBytes(
  cache: BinaryCache,
  narInfo: NarInfo,
  decompress: World["decompress"],
  signal: AbortSignal,
): Promise<string | undefined> {
  const file = createHash("sha256");
  const nar = createHash("sha256");
  let narSize = 0;
  let brokenOff: unknown;
  const stored = async function* () {
    try {
      for await (const chunk of cache.readNar(narInfo, signal)) {
        file.update(chunk);
        yield chunk;
      }
    } catch (error) {
      brokenOff = error;
      throw error;
    }
  };
  try {
    for await (const chunk of decompress(narInfo.compression, stored(), signal)) {
      nar.update(chunk);
      narSize += chunk.length;
      // Enough is known: what is small on its way may have no end once it is unpacked.
      if (narSize > narInfo.narSize) return "its NAR is longer than its NarSize says";
    }
  } catch (error) {
    signal.throwIfAborted();
    if (brokenOff instanceof UserError && brokenOff.code === "NCP-335") return brokenOff.message;
    if (brokenOff !== undefined) throw brokenOff;
    if (isBeyondUs(error)) throw error;
    return `its NAR cannot be unpacked: ${describeError(error)}`;
  }
  if (narInfo.fileHash && sha256FromBytes(file.digest()) !== narInfo.fileHash) {
    return "its NAR is not the file that its FileHash names";
  }
  if (narSize !== narInfo.narSize || sha256FromBytes(nar.digest()) !== narInfo.narHash) {
    return "its NAR is not what its NarHash names";
  }
  return undefined;
}
