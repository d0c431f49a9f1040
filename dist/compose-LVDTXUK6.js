import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-ZTX4V4KR.js";import"./chunk-MG7SGFRH.js";import"./chunk-X53KKOAN.js";import"./chunk-QA55TPRG.js";export{a as compose};
