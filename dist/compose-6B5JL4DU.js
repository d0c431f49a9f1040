import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a,b}from"./chunk-3PBCL6WH.js";import"./chunk-64EP7LJC.js";import"./chunk-HER4SMRH.js";import"./chunk-PRTB6RIE.js";import"./chunk-QA55TPRG.js";export{b as compose,a as forgetNetrc};
