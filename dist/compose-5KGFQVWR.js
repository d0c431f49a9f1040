import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a,b}from"./chunk-NSI6LXGO.js";import"./chunk-VSW6WENU.js";import"./chunk-ASBNILRK.js";import"./chunk-PRTB6RIE.js";import"./chunk-QA55TPRG.js";export{b as compose,a as forgetNetrc};
