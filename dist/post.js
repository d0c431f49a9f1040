import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-Q2LOPZSG.js";import"./chunk-MC6ZRHDY.js";import"./chunk-M74X2KFR.js";import"./chunk-D7ZPJIDF.js";import"./chunk-SKG5NSYY.js";import"./chunk-3OKBVCPH.js";await o();
