import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as a,e as b}from"./chunk-YKHCJW3C.js";import"./chunk-X22W7RSR.js";import"./chunk-4MQHGXOX.js";import"./chunk-F4Y4LISA.js";import"./chunk-2A77DHTD.js";import"./chunk-J4B3DJ2L.js";import"./chunk-OA7PNYVD.js";import"./chunk-QA55TPRG.js";export{a as compose,b as openProject};
