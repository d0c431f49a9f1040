/** Owns Nix's configuration as Nix itself shows it. */

import { UserError } from "../domain/errors.ts";
import type { NixCommand, RunOptions } from "./command.ts";

export interface Settings {
  /** A list, or a text of words as older versions print it; empty where there is no such setting. */
  list(name: string): string[];
  text(name: string): string;
  has(name: string, value: boolean): boolean;
  /** Whether this version has such a setting, set or not. */
  knows(name: string): boolean;
  /** A whole number above 0. */
  amount(name: string): number | undefined;
}

type Setting = string | number | boolean | readonly string[] | Readonly<Record<string, unknown>>;

export async function readSettings(nix: NixCommand, options: RunOptions): Promise<Settings> {
  // `config show` from 2.20 on; before that the same output under another name.
  let result = await nix.try("nix", ["config", "show", "--json"], options);
  if (result.code !== 0) result = await nix.try("nix", ["show-config", "--json"], options);
  if (result.code !== 0) {
    throw new UserError("NCP-202", `Nix does not show its configuration: ${result.stderr.trim()}`);
  }
  const parsed = JSON.parse(result.stdout) as Record<string, { value: Setting }>;
  const settingOf = (name: string): Setting | undefined => parsed[name]?.value;
  return {
    list(name) {
      const value = settingOf(name);
      return Array.isArray(value)
        ? value.map(String)
        : String(value ?? "")
            .split(/\s+/)
            .filter(Boolean);
    },
    text(name) {
      const value = settingOf(name);
      return typeof value === "string" ? value : "";
    },
    has: (name, value) => settingOf(name) === value,
    knows: (name) => name in parsed,
    amount(name) {
      const value = Number(settingOf(name));
      return Number.isInteger(value) && value > 0 ? value : undefined;
    },
  };
}
