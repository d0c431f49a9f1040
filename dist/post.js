import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-OHFLLEEK.js";import"./chunk-PUAAGYGV.js";import"./chunk-ID6KO2NK.js";import"./chunk-5Y3ELDSW.js";import"./chunk-6XWWMNSA.js";import"./chunk-AH6ZIJSA.js";import"./chunk-RJC22BYP.js";import"./chunk-QA55TPRG.js";await o();
