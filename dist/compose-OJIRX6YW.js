import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-TUQLM72Z.js";import"./chunk-UWPATWE2.js";import"./chunk-AH6ZIJSA.js";import"./chunk-QA55TPRG.js";export{a as compose};
