import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-HJK7V2XM.js";import"./chunk-UNK422QX.js";import"./chunk-TA3NRS55.js";import"./chunk-DJPEQMPR.js";await a();
