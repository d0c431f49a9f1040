/** Owns hosts to deploy to: an `ssh` that runs what it is told on a store and in a root of that host's own. */

import { chmod, mkdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Machine } from "../../scripts/machine.ts";

export interface Hosts {
  /** A folder with `ssh` and `sudo`, to be put first on PATH. */
  readonly programs: string;
  /** What was said on hosts since the last time it was asked: `deploy@beta: switch beta: two`. */
  log(): Promise<string[]>;
  /** What Nix of the host says that is valid there, of the path. */
  isValid(host: string, path: string): Promise<boolean>;
  /** The system that the host's profile holds. */
  profile(host: string): Promise<string>;
}

const SSH = `#!/bin/bash
set -eu
root=@MACHINE@/hosts/$1
mkdir -p "$root/run" "$root/profiles"
command=\${2//\\/run\\/current-system/$root/run/current-system}
command=\${command//\\/nix\\/var\\/nix\\/profiles/$root/profiles}
export HOST_ROOT=$root NIX_REMOTE="local?root=$root" NIX_CONFIG='CONFIGURATION'
code=0
bash -c "$command" > "$root/said" 2>&1 || code=$?
sed "s/^/$1: /" "$root/said" >> @MACHINE@/said-on-hosts
exit $code
`;

/** A system's own script knows nothing of the root it is in. */
const SUDO = `#!/bin/bash
set -eu
case "$1" in
*/switch-to-configuration)
  script=$(sed "s|/run/current-system|$HOST_ROOT/run/current-system|" "$1")
  exec sh -c "$script" "$@"
  ;;
esac
exec "$@"
`;

/**
 * Every host has a store, a `/run` and a `/nix/var` of its own below the machine's root. They are put
 * in their place in the command and in a system's script: nothing here may touch the real ones.
 */
export async function startHosts(machine: Machine, configuration: string): Promise<Hosts> {
  const programs = join(machine.root, "host-programs");
  const said = join(machine.root, "said-on-hosts");
  await mkdir(programs, { recursive: true });
  for (const [name, text] of Object.entries({ ssh: SSH, sudo: SUDO })) {
    const file = join(programs, name);
    const script = text.replaceAll("@MACHINE@", machine.root);
    await writeFile(file, script.replace("CONFIGURATION", configuration));
    await chmod(file, 0o755);
  }
  const root = (host: string) => join(machine.root, "hosts", `deploy@${host}`);
  return {
    programs,
    async log() {
      const text = await readFile(said, "utf8").catch(() => "");
      await writeFile(said, "");
      return text.split("\n").filter((line) => line !== "");
    },
    isValid: (host, path) =>
      machine
        .nix("nix-store", ["--store", `local?root=${root(host)}`, "--check-validity", path])
        .then(
          () => true,
          () => false,
        ),
    async profile(host) {
      const generation = await readlink(join(root(host), "profiles", "system"));
      return readlink(join(root(host), "profiles", generation));
    },
  };
}
