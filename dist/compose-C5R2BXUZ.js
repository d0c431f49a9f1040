import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as a,e as b}from"./chunk-PT73HCRX.js";import"./chunk-MG32MQ3A.js";import"./chunk-LODZZUJQ.js";import"./chunk-CX3TLGQR.js";import"./chunk-2A77DHTD.js";import"./chunk-J4B3DJ2L.js";import"./chunk-OA7PNYVD.js";import"./chunk-QA55TPRG.js";export{a as compose,b as openProject};
