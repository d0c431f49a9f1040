#!/usr/bin/env node
import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as e}from"./chunk-NPI4O4VM.js";import"./chunk-25ONR23F.js";var o=e(process.versions.node);if(o!==void 0)console.error(o),process.exitCode=2;else{let{main:s}=await import("./command-line-QRAPKMEU.js");process.exitCode=await s(process.argv.slice(2))}
