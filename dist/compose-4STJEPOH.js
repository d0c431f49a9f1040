import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a,b}from"./chunk-Q7J236DR.js";import"./chunk-PXKSVQFI.js";import"./chunk-JSLXIXQF.js";import"./chunk-PRTB6RIE.js";import"./chunk-QA55TPRG.js";export{b as compose,a as forgetNetrc};
