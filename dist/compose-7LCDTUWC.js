import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-DK6CRT7F.js";import"./chunk-6XWWMNSA.js";import"./chunk-AH6ZIJSA.js";import"./chunk-QA55TPRG.js";export{a as compose};
