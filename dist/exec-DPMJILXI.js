import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{e as a,f as b}from"./chunk-KKIYQWOR.js";import"./chunk-25ONR23F.js";export{a as exec,b as getExecOutput};
