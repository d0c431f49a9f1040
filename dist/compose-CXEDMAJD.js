import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as a,e as b}from"./chunk-ZDM6PSUQ.js";import"./chunk-HQARGU2H.js";import"./chunk-TSS3H7JP.js";import"./chunk-NIZ2HJE4.js";import"./chunk-2A77DHTD.js";import"./chunk-J4B3DJ2L.js";import"./chunk-OA7PNYVD.js";import"./chunk-QA55TPRG.js";export{a as compose,b as openProject};
