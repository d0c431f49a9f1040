import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-TQA3QICJ.js";import"./chunk-XJ2RAOBL.js";import"./chunk-SW4DXXYN.js";import"./chunk-OYBCDD52.js";import"./chunk-THRYIXFV.js";import"./chunk-AH6ZIJSA.js";import"./chunk-RJC22BYP.js";import"./chunk-QA55TPRG.js";await o();
