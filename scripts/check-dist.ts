/** Owns the comparison of dist/ with what the sources give, byte for byte. */

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTo } from "./build.ts";

const fresh = await mkdtemp(join(tmpdir(), "ncp-dist-"));
try {
  await buildTo(fresh);
  const names = new Set([...(await readdir(fresh)), ...(await readdir("dist").catch(() => []))]);
  const different: string[] = [];
  for (const name of names) {
    const [ours, theirs] = await Promise.all(
      [join(fresh, name), join("dist", name)].map((file) => readFile(file).catch(() => undefined)),
    );
    if (!ours || !theirs || !ours.equals(theirs)) different.push(name);
  }
  if (different.length > 0) {
    console.error(`dist/ is not what src/ gives (${different.join(", ")}): run npm run build`);
    process.exitCode = 1;
  } else console.log(`dist/ is what src/ gives: ${names.size} files`);
} finally {
  await rm(fresh, { recursive: true, force: true });
}
