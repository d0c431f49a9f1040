import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a,b}from"./chunk-5Z3UXL7J.js";import"./chunk-QA55TPRG.js";export{a as create,b as hashFiles};
