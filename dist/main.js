import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-CLDLLIX3.js";import"./chunk-RZW5TFE6.js";import"./chunk-I2O2HV4W.js";import"./chunk-IYCTIAIV.js";import"./chunk-SKG5NSYY.js";import"./chunk-3OKBVCPH.js";await a();
