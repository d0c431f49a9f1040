import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-A4KQD234.js";import"./chunk-JSAHOPB3.js";import"./chunk-X53KKOAN.js";import"./chunk-QA55TPRG.js";export{a as compose};
