#!/usr/bin/env node
/** Owns the entry of the command at a desk. */

import { main } from "./desk/main.ts";

process.exitCode = await main(process.argv.slice(2));
