import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as a}from"./chunk-VVOWCRYX.js";import"./chunk-4CZTJZLV.js";import"./chunk-43EA56G4.js";import"./chunk-57QWGGGR.js";import"./chunk-EOWM4DDY.js";import"./chunk-YTR2PFLF.js";import"./chunk-EEURBZNN.js";import"./chunk-QA55TPRG.js";export{a as compose};
