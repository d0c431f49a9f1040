import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-DJKEFCD3.js";import"./chunk-TI2QIEMD.js";import"./chunk-NZLA7JIK.js";import"./chunk-RSQAH6K4.js";import"./chunk-SKG5NSYY.js";import"./chunk-3OKBVCPH.js";await o();
