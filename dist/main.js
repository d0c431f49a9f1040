import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-4YXR4VC6.js";import"./chunk-QOVWK44M.js";import"./chunk-AQIUDUQI.js";import"./chunk-FS6M2VEC.js";await a();
