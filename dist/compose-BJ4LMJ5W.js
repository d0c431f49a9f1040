import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as a}from"./chunk-ANE6FOGX.js";import"./chunk-3VQH5IK3.js";import"./chunk-6CRR7HFF.js";import"./chunk-HLDXEANU.js";import"./chunk-3PKAT62M.js";import"./chunk-YTR2PFLF.js";import"./chunk-EEURBZNN.js";import"./chunk-QA55TPRG.js";export{a as compose};
