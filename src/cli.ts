#!/usr/bin/env node
/** The entry of the command line: an older Node is told so, before what it could not even load. */

import { nodeTooOld } from "./host/node-version.ts";

const problem = nodeTooOld(process.versions.node);
if (problem !== undefined) {
  console.error(problem);
  process.exitCode = 2;
} else {
  const { main } = await import("./cli/command-line.ts");
  process.exitCode = await main(process.argv.slice(2));
}
