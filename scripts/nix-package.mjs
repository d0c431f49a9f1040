/** Owns the package of flake.nix: a builder of Nix's that copies what is built already, and writes completions. */

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { env, execPath, exit } from "node:process";

const NAME = "nix-cache-preflight";
const { dist, manPage, out } = env;
if (dist === undefined || manPage === undefined || out === undefined) exit(1);

const at = (path) => {
  const file = join(out, path);
  mkdirSync(dirname(file), { recursive: true });
  return file;
};

const copy = at(`lib/${NAME}`);
cpSync(dist, copy, { recursive: true });
// The kernel reads the first line; the Node that is named there is kept with the package.
const program = at(`bin/${NAME}`);
writeFileSync(program, `#!${execPath}\nimport(${JSON.stringify(join(copy, "cli.js"))});\n`);
chmodSync(program, 0o755);

copyFileSync(manPage, at(`share/man/man1/${NAME}.1`));
const completions = {
  bash: `share/bash-completion/completions/${NAME}`,
  zsh: `share/zsh/site-functions/_${NAME}`,
  fish: `share/fish/vendor_completions.d/${NAME}.fish`,
};
for (const [shell, path] of Object.entries(completions)) {
  writeFileSync(at(path), execFileSync(execPath, [join(copy, "cli.js"), "completion", shell]));
}
