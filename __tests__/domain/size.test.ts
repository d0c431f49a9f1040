import { describe, expect, test } from "@jest/globals";
import {
  count,
  formatBytes,
  formatSeconds,
  parseDuration,
  parseSize,
} from "../../src/domain/size.ts";
import { userError } from "../support/thrown.ts";

describe("a size", () => {
  test.each([
    ["0", 0],
    ["0.0", 0],
    ["1B", 1],
    ["500MB", 500e6],
    ["500 MB", 500e6],
    [" 6GB ", 6e9],
    ["6gb", 6e9],
    ["6G", 6e9],
    ["5GiB", 5 * 2 ** 30],
    ["1.5 GiB", 1.5 * 2 ** 30],
    ["1kB", 1000],
    ["1KiB", 1024],
    ["2TB", 2e12],
    ["2TiB", 2 * 2 ** 40],
    ["2000000000000B", 2e12],
    ["0.4B", 0],
  ])("%j has %d bytes", (text, bytes) => {
    expect(parseSize(text, "min-free")).toBe(bytes);
  });

  test.each([
    ["5", "it has no unit"],
    ["1000000", "it has no unit"],
    ["", "it is not a size"],
    ["-1", "it is not a size"],
    ["-1GB", "it is not a size"],
    ["+1GB", "it is not a size"],
    ["1e9", "it is not a size"],
    ["1e9B", "it is not a size"],
    ["five", "it is not a size"],
    ["GB", "it is not a size"],
    ["1,5GB", "it is not a size"],
    ["1.GB", "it is not a size"],
    [".5GB", "it is not a size"],
    ["5  GB", "it is not a size"],
    ["5PB", "it is not a size"],
    ["5Gb/s", "it is not a size"],
    ["0x10MB", "it is not a size"],
    ["∞", "it is not a size"],
    ["5GB 6GB", "it is not a size"],
    [`${"9".repeat(100_000)}GB`, "it is not a size"],
  ])("%j is none", (text, why) => {
    const error = userError(() => parseSize(text, "min-free"));
    expect(error.code).toBe("NCP-104");
    expect(error.message).toBe(`min-free: "${text}" cannot be used: ${why}`);
    expect(error.hint).toContain("500MB, 6GB or 1.5GiB");
  });

  test.each([
    [0, "0 B"],
    [1, "1 B"],
    [999, "999 B"],
    [1000, "1 kB"],
    [1500, "1.5 kB"],
    [999_499, "999 kB"],
    [999_500, "1 MB"],
    [1_234_567, "1.23 MB"],
    [12_345_678, "12.3 MB"],
    [100e6, "100 MB"],
    [9_960_000, "10 MB"],
    [6e9, "6 GB"],
    [1.05e9, "1.05 GB"],
    [2e15, "2000 TB"],
    [-1.2e9, "-1.2 GB"],
  ])("of %d bytes is written %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe("a duration", () => {
  test.each([
    ["90s", 90],
    ["10m", 600],
    ["10min", 600],
    ["2h", 7200],
    ["1.5h", 5400],
    ["90 s", 90],
    ["0s", 0],
  ])("%j has %d seconds", (text, seconds) => {
    expect(parseDuration(text, "heavy")).toBe(seconds);
  });

  test.each(["", "10", "-10m", "10 minutes", "10M", "1e3s", "ten", "1d", "10m5s"])(
    "%j is none",
    (text) => {
      const error = userError(() => parseDuration(text, "heavy"));
      expect(error.message).toBe(`heavy: "${text}" is not a duration`);
      expect(error.hint).toContain("90s, 10m or 2h");
    },
  );

  test.each([
    [0, "0.0s"],
    [0.25, "0.3s"],
    [9.94, "9.9s"],
    [9.95, "10s"],
    [59.4, "59s"],
    [59.6, "1m"],
    [250, "4m 10s"],
    [3599.6, "1h"],
    [3720, "1h 2m"],
  ])("of %d seconds is written %s", (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text);
  });
});

test.each([
  [0, "0 paths"],
  [1, "1 path"],
  [999, "999 paths"],
  [5001, "5,001 paths"],
  [1234567, "1,234,567 paths"],
])("%d is counted as %s", (n, text) => {
  expect(count(n, "path")).toBe(text);
});
