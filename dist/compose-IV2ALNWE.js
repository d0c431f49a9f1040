import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-5ZVE3HBQ.js";import"./chunk-SCWWCM6Q.js";import"./chunk-AH6ZIJSA.js";import"./chunk-QA55TPRG.js";export{a as compose};
