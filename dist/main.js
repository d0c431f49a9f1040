import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-PPEUE4R2.js";import"./chunk-UAV6ROOE.js";import"./chunk-SY2DQSMV.js";import"./chunk-FVOPK75C.js";await a();
