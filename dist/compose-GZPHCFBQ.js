import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as a}from"./chunk-RB3J67UH.js";import"./chunk-MC7E2KSB.js";import"./chunk-6P3UPZMB.js";import"./chunk-N6RAOHF7.js";import"./chunk-3PKAT62M.js";import"./chunk-YTR2PFLF.js";import"./chunk-EEURBZNN.js";import"./chunk-QA55TPRG.js";export{a as compose};
