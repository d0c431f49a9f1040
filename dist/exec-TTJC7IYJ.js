import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{e as a,f as b}from"./chunk-LTBPSZ6Z.js";import"./chunk-QA55TPRG.js";export{a as exec,b as getExecOutput};
