import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-SX62HF2J.js";import"./chunk-RZSIX2H2.js";import"./chunk-DNB7FYM6.js";import"./chunk-GOVFCYWG.js";import"./chunk-SKG5NSYY.js";import"./chunk-3OKBVCPH.js";await a();
