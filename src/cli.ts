#!/usr/bin/env node
/** The entry of the command line: an older Node is told so, before what it could not even load. */

/** As package.json's `engines`, of which npx only warns. */
const OLDEST = 24;

const { node } = process.versions;
if (Number(node.split(".")[0]) < OLDEST) {
  console.error(`nix-cache-preflight needs Node ${OLDEST} or newer, and this is ${node}`);
  process.exitCode = 2;
} else {
  const { main } = await import("./cli/command-line.ts");
  process.exitCode = await main(process.argv.slice(2));
}
