#!/usr/bin/env node
import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
var{node:e}=process.versions;if(Number(e.split(".")[0])<24)console.error(`nix-cache-preflight needs Node 24 or newer, and this is ${e}`),process.exitCode=2;else{let{main:s}=await import("./command-line-QTQSOH7J.js");process.exitCode=await s(process.argv.slice(2))}
