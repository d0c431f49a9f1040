import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-ZFL4CTEB.js";import"./chunk-4DEQKJUY.js";import"./chunk-YZ4PEFHJ.js";import"./chunk-4G6PJKIA.js";import"./chunk-THRYIXFV.js";import"./chunk-AH6ZIJSA.js";import"./chunk-RJC22BYP.js";import"./chunk-QA55TPRG.js";await a();
