import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as a}from"./chunk-UEKYO6NK.js";import"./chunk-R2DUJEFO.js";import"./chunk-5IHATIRS.js";import"./chunk-M5QWCB3S.js";import"./chunk-EOWM4DDY.js";import"./chunk-YTR2PFLF.js";import"./chunk-EEURBZNN.js";import"./chunk-QA55TPRG.js";export{a as compose};
