import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-4XXXOJ5V.js";import"./chunk-MEAFEUW2.js";await a();
