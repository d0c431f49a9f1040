import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-65I3CMLN.js";import"./chunk-DZXSZ4TJ.js";import"./chunk-MTT5HANA.js";import"./chunk-QA55TPRG.js";export{a as compose};
