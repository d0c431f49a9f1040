import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-HFIJ4KPW.js";import"./chunk-FUP2FZ7K.js";import"./chunk-X53KKOAN.js";import"./chunk-QA55TPRG.js";export{a as compose};
