/** Owns the end of the netrc file with our tokens: the file goes, and Nix is told of the one before it. */

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../host/environment.ts";
import { removeNetrcSetting, userConfigurationFile } from "./configure.ts";
import { netrcIn } from "./netrc.ts";

/** Also takes what a killed run left of it half written. */
export async function forgetNetrc(folder: string, environment: Environment): Promise<void> {
  const file = netrcIn(folder);
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (path === file || path.startsWith(`${file}.tmp-`)) await rm(path, { force: true });
  }
  await removeNetrcSetting(userConfigurationFile(environment), file);
}
