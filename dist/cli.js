#!/usr/bin/env node
import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as v,e as I,f as S,h as w,o as R,q as O,r as C}from"./chunk-FUTA2W75.js";import{C as $,T as m,U as y,W as x,a as l,b as k,x as N,z as T}from"./chunk-TIRH6EHK.js";import{a as o,e as b,f as j}from"./chunk-3OKBVCPH.js";import{homedir as _}from"node:os";import{join as G}from"node:path";import{parseArgs as M}from"node:util";var A={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},P=new Set(["targets","mode","token","signing-key","install-nix"]),E=Object.keys(y).filter(t=>!P.has(t)),H=`nix-cache-preflight MODE [TARGET \u2026] [--INPUT VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?

TARGET is an installable (.#name, nixpkgs#bws, .#packages.SYSTEM.*), by default every
package of the flake here. Its attributes follow it in one word: 'nixpkgs#bws pin=bws'.

  --json     the report as JSON on standard output
  --help     this text

Every input of the action is an option, with the same values and defaults, but for
--cache, which is none unless given:
${F(E.map(t=>`--${t}`))}
Secrets come from the environment: ${Object.values(A).join(", ")}.

Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`;function F(t){let n=[];for(let r of t){let i=n.at(-1);i!==void 0&&i.length+r.length<84?n[n.length-1]+=` ${r}`:n.push(`  ${r}`)}return n.join(`
`)}o(F,"wrapped");function U(t,n){let r=Object.fromEntries(E.map(s=>[s,{type:"string"}])),{values:i,positionals:c}=M({args:[...t],allowPositionals:!0,options:{...r,json:{type:"boolean"},help:{type:"boolean",short:"h"}}});if(i.help||c.length===0)return"help";let[a="",...d]=c;if(!m.some(s=>s===a))throw new l("NCP-101",`"${a}" is not a mode.${N(a,m)}`,{hint:`say one of ${m.join(", ")}, or --help`});let u=i,f=Object.fromEntries(E.flatMap(s=>{let e=u[s];return typeof e=="string"?[[s,e]]:[]})),h=Object.fromEntries(Object.entries(A).map(([s,e])=>[s,n[e]??""]));return{inputs:{...y,cache:"none",...f,...h,mode:a,targets:d.join(`
`)},format:i.json?"json":"text"}}o(U,"parseCommand");function D(t){return t==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"at a desk"}}o(D,"deskTrust");function Y(t){let n=t.HOME??_();return G(t.XDG_STATE_HOME||G(n,".local","state"),"nix-cache-preflight")}o(Y,"stateFolder");var J={group:o(t=>process.stderr.write(`${w(t)}
`),"group"),endGroup:o(()=>{},"endGroup"),info:o(t=>process.stderr.write(`  ${w(t)}
`),"info"),debug:o(()=>{},"debug")};async function X(t){let n=new AbortController,r=o(e=>n.abort(new l("NCP-501",`interrupted by ${e}`)),"interrupt");process.once("SIGINT",r),process.once("SIGTERM",r);let i=T(),c,a;try{if(c=U(t,i),c==="help")return process.stdout.write(H),t.length===0?2:0;a=x(c.inputs)}catch(e){return L(e),2}try{var d=[];try{let e=b(d,await $({...a,environment:i,workspace:process.cwd(),folder:Y(i),platform:process.platform,log:J,signal:n.signal}),!0);let p=await v(a.job,D(a.trust),e.world,n.signal);if(c.format==="json")process.stdout.write(`${JSON.stringify(I(p),null,2)}
`);else{for(let g of[...O(p),...C(p)])process.stdout.write(`${g}
`);process.stdout.write(`${R(p)}
`)}return S(p).some(({level:g})=>g==="error")?1:0}catch(u){var f=u,h=!0}finally{var s=j(d,f,h);s&&await s}}catch(e){return L(e),1}}o(X,"cli");function L(t){let n=t instanceof l&&t.hint?`
  ${t.hint}`:"",r=t instanceof l?` ${t.code}`:"";process.stderr.write(`error${r}: ${k(t)}${n}
`)}o(L,"tell");process.exitCode=await X(process.argv.slice(2));
