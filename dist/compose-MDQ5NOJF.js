import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as a,e as b}from"./chunk-SEVJMELF.js";import"./chunk-45HLNG6B.js";import"./chunk-PSSWEL5C.js";import"./chunk-SK556ULP.js";import"./chunk-G2TSYNRJ.js";import"./chunk-XWVBTRXU.js";import"./chunk-7NXTGYQZ.js";import"./chunk-QA55TPRG.js";export{a as compose,b as openProject};
