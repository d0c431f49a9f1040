/** The disk space plan in words and bars, for the summary, the log and the JSON report. Pure. */

import { count, formatBytes } from "../domain/size.ts";
import type { DiskSpace, Need, SpaceOnFileSystem } from "../engine/plan/disk-space.ts";
import { type Basis, type Estimate, RULE_IN_WORDS } from "../engine/plan/estimate.ts";
import type { Run } from "../engine/run.ts";
import { reclaimWords } from "../engine/step.ts";
import { code, grid, markdown } from "./page.ts";

const CELLS = 20;

export function diskSection({ plan, job, outcome }: Run): string {
  const { diskSpace, reclaims } = plan;
  if (diskSpace.fileSystems.length === 0) return "";
  const rows = diskSpace.fileSystems.map((one) => {
    const { fileSystem, needs, bytesAfter, bytesFreed } = one;
    const { mountPoint, totalBytes, freeBytes } = fileSystem;
    const bytes = bar(totalBytes, freeBytes + bytesFreed, one.bytesNeeded);
    const freed = bytesFreed > 0 ? `, ${formatBytes(bytesFreed)} to be reclaimed` : "";
    return [
      code(mountPoint),
      bytes,
      `${formatBytes(freeBytes)}${freed}`,
      markdown(uses(needs)),
      formatBytes(bytesAfter),
      inodes(one),
    ];
  });
  const columns = ["file system", "", ">free now", "this run needs", ">free after", "inodes"];
  const legend = `█ taken, ▒ needed by this run, ░ free after. ${formatBytes(job.minFree)} is to stay free.`;
  const done = outcome.reclaimed.map(({ what, bytes }) =>
    bytes === undefined ? what : `${what}: ${formatBytes(bytes)} freed`,
  );
  const lines = done.length > 0 ? done : reclaims.map(reclaimWords);
  const list = lines.map((line) => `- ${markdown(line)}`).join("\n");
  return [
    `${grid(columns, rows)}\n\n${legend}`,
    ...(lines.length > 0 ? [`Disk space was freed:\n\n${list}`] : []),
    ...buildsTable(diskSpace.load.builds),
  ].join("\n\n");
}

function uses(needs: readonly Need[]): string {
  return needs.map(({ what, bytes }) => `${what} ${formatBytes(bytes)}`).join(", ");
}

/** Taken, needed and free as twenty signs; what is needed beyond what is free fills the bar. */
export function bar(total: number, free: number, needed: number): string {
  if (total <= 0) return "";
  const part = (amount: number) => Math.max(0, Math.round((amount / total) * CELLS));
  const taken = Math.min(CELLS, part(total - free));
  const wanted = Math.min(CELLS - taken, needed > 0 ? Math.max(1, part(needed)) : 0);
  return "█".repeat(taken) + "▒".repeat(wanted) + "░".repeat(CELLS - taken - wanted);
}

function inodes({ fileSystem, inodesAfter, inodesNeeded }: SpaceOnFileSystem): string {
  const { freeInodes, totalInodes } = fileSystem;
  if (freeInodes === undefined || totalInodes === undefined || inodesAfter === undefined) return "";
  const after = Math.max(0, inodesAfter).toLocaleString("en-US");
  return `${bar(totalInodes, freeInodes, inodesNeeded)} ${freeInodes.toLocaleString("en-US")} → ${after}`;
}

const BASES: Readonly<Record<Basis, string>> = {
  figures: "what its last build took",
  space: "space=",
  rule: `rule: ${RULE_IN_WORDS}`,
  nothing: "a download of unknown size",
};

function buildsTable(builds: readonly Estimate[]): string[] {
  if (builds.length === 0) return [];
  const ordered = [...builds].sort((a, b) => b.bytes - a.bytes);
  const rows = ordered.map(({ name, bytes, outputBytes, basis }) => [
    code(name),
    basis === "nothing" ? "" : formatBytes(bytes),
    outputBytes > 0 ? formatBytes(outputBytes) : "",
    markdown(BASES[basis]),
  ]);
  return [grid(["build", ">in the build directory", ">in the store", "known from"], rows)];
}

/** Lines of a log. */
export function diskLines(diskSpace: DiskSpace): string[] {
  const lines = diskSpace.fileSystems.map(({ fileSystem, needs, bytesAfter }) => {
    const { mountPoint, freeBytes } = fileSystem;
    return `  ${mountPoint}: ${formatBytes(freeBytes)} free, ${formatBytes(bytesAfter)} after (${uses(needs)})`;
  });
  const guessed = diskSpace.load.builds.filter(({ basis }) => basis === "rule").length;
  if (guessed > 0) {
    lines.push(`  ${count(guessed, "build")} reckoned by the rule (${RULE_IN_WORDS})`);
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
