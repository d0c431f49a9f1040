import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-ADCG2NOD.js";import"./chunk-THRYIXFV.js";import"./chunk-AH6ZIJSA.js";import"./chunk-QA55TPRG.js";export{a as compose};
