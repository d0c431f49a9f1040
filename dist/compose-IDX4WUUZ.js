import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as a}from"./chunk-SMCJCQMB.js";import"./chunk-3JEUT5LM.js";import"./chunk-T74RHLI3.js";import"./chunk-2PAYH342.js";import"./chunk-3PKAT62M.js";import"./chunk-YTR2PFLF.js";import"./chunk-EEURBZNN.js";import"./chunk-QA55TPRG.js";export{a as compose};
