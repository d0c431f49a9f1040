import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as a,e as b}from"./chunk-5O4XQWLY.js";import"./chunk-IZHDX72Q.js";import"./chunk-XNIUT47Z.js";import"./chunk-HVOSRWA5.js";import"./chunk-2A77DHTD.js";import"./chunk-J4B3DJ2L.js";import"./chunk-OA7PNYVD.js";import"./chunk-QA55TPRG.js";export{a as compose,b as openProject};
