import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-RJ4KLNXD.js";import"./chunk-MUQSW7UC.js";import"./chunk-APHUB5Q3.js";import"./chunk-KMDQUQUN.js";import"./chunk-SCWWCM6Q.js";import"./chunk-AH6ZIJSA.js";import"./chunk-RJC22BYP.js";import"./chunk-QA55TPRG.js";await o();
