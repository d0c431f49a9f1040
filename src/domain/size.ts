/** Sizes and durations as people write and read them. */

import { UserError } from "./errors.ts";

const UNITS: ReadonlyMap<string, number> = new Map([
  ["b", 1],
  ["k", 1e3],
  ["kb", 1e3],
  ["m", 1e6],
  ["mb", 1e6],
  ["g", 1e9],
  ["gb", 1e9],
  ["t", 1e12],
  ["tb", 1e12],
  ["kib", 2 ** 10],
  ["mib", 2 ** 20],
  ["gib", 2 ** 30],
  ["tib", 2 ** 40],
]);

/**
 * Bytes in `500MB`, `6GB`, `1.5 GiB`, `0`. `what` names the input in the error.
 * A number without a unit is refused unless it is 0: `5` could be bytes or gigabytes.
 */
export function parseSize(text: string, what: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]{0,4})$/.exec(text.trim());
  const amount = Number(match?.[1]);
  const unit = (match?.[2] ?? "").toLowerCase();
  if (match && unit === "" && amount === 0) return 0;
  const factor = UNITS.get(unit);
  if (!match || factor === undefined) {
    const why = match && unit === "" ? "it has no unit" : "it is not a size";
    throw new UserError("NCP-104", `${what}: "${text}" cannot be used: ${why}`, {
      hint: "write a number and a unit: 500MB, 6GB or 1.5GiB (kB, MB, GB, TB, KiB, MiB, GiB, TiB)",
    });
  }
  return Math.round(amount * factor);
}

/** `1.2 GB`, three significant figures, in powers of ten as disks are sold. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2;
  const text = value.toFixed(digits).replace(/\.0+$|(\.\d*[1-9])0+$/, "$1");
  return `${bytes < 0 ? "-" : ""}${text} ${units[unit]}`;
}

const SECONDS: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["min", 60],
  ["h", 3600],
]);

/** Seconds in `90s`, `10m`, `2h`. `what` names the input in the error. */
export function parseDuration(text: string, what: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?) ?([a-z]{1,3})$/.exec(text.trim());
  const factor = SECONDS.get(match?.[2] ?? "");
  if (!match || factor === undefined) {
    throw new UserError("NCP-104", `${what}: "${text}" is not a duration`, {
      hint: "write a number and a unit: 90s, 10m or 2h",
    });
  }
  return Number(match[1]) * factor;
}

/** `0.3s`, `12s`, `4m 10s`, `1h 2m`: as GitHub writes it. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 === 0 ? `${minutes}m` : `${minutes}m ${whole % 60}s`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 === 0 ? `${hours}h` : `${hours}h ${minutes % 60}m`;
}

/** `5,001`. Not by Intl, whose first number takes 10 ms, at the end of every step. */
export function number(n: number): string {
  return String(n).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** `1 path`, `3 paths`: every sentence that counts something. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${number(n)} ${n === 1 ? one : many}`;
}
