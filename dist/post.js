import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-4ONZDVPW.js";import"./chunk-D2WCYPDJ.js";import"./chunk-FUTA2W75.js";import"./chunk-TIRH6EHK.js";import"./chunk-SKG5NSYY.js";import"./chunk-3OKBVCPH.js";await o();
