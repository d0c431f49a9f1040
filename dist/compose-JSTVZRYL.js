import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-O7AV7M5S.js";import"./chunk-K7NN2CEB.js";import"./chunk-AH6ZIJSA.js";import"./chunk-QA55TPRG.js";export{a as compose};
