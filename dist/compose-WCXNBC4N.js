import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as a,e as b}from"./chunk-P3BNHWNY.js";import"./chunk-EWBZ5NKW.js";import"./chunk-NHHHPWPL.js";import"./chunk-F4Y4LISA.js";import"./chunk-2A77DHTD.js";import"./chunk-J4B3DJ2L.js";import"./chunk-OA7PNYVD.js";import"./chunk-QA55TPRG.js";export{a as compose,b as openProject};
