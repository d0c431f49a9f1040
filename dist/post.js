import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-BPUIB77E.js";import"./chunk-CF5P3HV3.js";await o();
