/** The disk space plan as a table of the page, lines of the log and part of the JSON report. Pure. */

import { count, formatBytes } from "../domain/size.ts";
import { type DiskSpace, floorOn, usesWords } from "../engine/plan/disk-space.ts";
import { RULE_IN_WORDS } from "../engine/plan/estimate.ts";
import type { Run } from "../engine/result.ts";
import { reclaimWords } from "../engine/step.ts";
import { code, grid, markdown } from "./page.ts";

/** What a row calls it; the others are `Other files`. */
const ROWS: Readonly<Record<string, string>> = {
  store: "Downloads",
  "build outputs": "Builds, at their peak",
  "build directory": "Builds, at their peak",
};

/** The sum that does not come out, for the tightest file system: where it is short, or nearly so. */
export function diskTable({ plan, job }: Run): string {
  const tight = plan.diskSpace.fileSystems
    .filter(({ needs }) => needs.some(({ writes }) => writes === "something"))
    .sort((a, b) => a.bytesAfter - b.bytesAfter)[0];
  if (!tight) return "";
  const { fileSystem, needs, bytesAfter, bytesFreed } = tight;
  const floor = floorOn(tight, job.minFree);
  if (bytesAfter >= 2 * floor) return "";
  const sums = new Map<string, number>();
  for (const { what, bytes } of needs) {
    const row = ROWS[what] ?? "Other files";
    sums.set(row, (sums.get(row) ?? 0) + bytes);
  }
  const short = floor - bytesAfter;
  const rows = [
    ...[...sums].filter(([, bytes]) => bytes > 0),
    ["To be left free (min-free)", floor] as const,
    ...(bytesFreed > 0 ? [["To be reclaimed", bytesFreed] as const] : []),
    ["Free now", fileSystem.freeBytes] as const,
  ].map(([what, bytes]) => [markdown(what), bytes === 0 ? "none" : formatBytes(bytes)]);
  const end = short > 0 ? `${formatBytes(short)} short` : `${formatBytes(bytesAfter)} left`;
  return grid(
    [`Disk space on ${code(fileSystem.mountPoint)}`, `>**${end.replaceAll(" ", "\u00a0")}**`],
    rows,
  );
}

/** Lines of a log. */
export function diskLines(diskSpace: DiskSpace): string[] {
  const lines = diskSpace.fileSystems.map(({ fileSystem, needs, bytesAfter }) => {
    const { mountPoint, freeBytes } = fileSystem;
    return `  ${mountPoint}: ${formatBytes(freeBytes)} free, ${formatBytes(bytesAfter)} after (${usesWords(needs)})`;
  });
  const guessed = diskSpace.load.builds.filter(({ basis }) => basis === "rule").length;
  if (guessed > 0) {
    lines.push(`  ${count(guessed, "build")} estimated (${RULE_IN_WORDS})`);
  }
  return lines;
}

/** What the JSON report says of disk space. */
export function diskReport({ plan, outcome }: Run) {
  const { diskSpace } = plan;
  return {
    diskSpace: diskSpace.fileSystems.map(({ fileSystem, ...one }) => ({
      mountPoint: fileSystem.mountPoint,
      totalBytes: fileSystem.totalBytes,
      freeBytes: fileSystem.freeBytes,
      freeInodes: fileSystem.freeInodes ?? null,
      ...one,
      inodesAfter: one.inodesAfter ?? null,
    })),
    downloadBytes: diskSpace.load.downloadBytes,
    builds: diskSpace.load.builds,
    reclaims: plan.reclaims.map(reclaimWords),
    reclaimed: outcome.reclaimed,
    leftOut: plan.leftOut,
    figures: outcome.figures,
  };
}
