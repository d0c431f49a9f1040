import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as U,b as w,c as ot,d as it,e as T,g as lt,l as ut,n as pt,o as ht,q as yt,r as $t,s as wt,t as bt,u as xt,v as vt}from"./chunk-MYZP66SX.js";import{a as H}from"./chunk-YFPFLMP5.js";import{c as rt,f as st,g as at,h as ct,k as ft,m as dt}from"./chunk-BGW7RDKO.js";import{a as W,b as X,c as N,d as K,e as et}from"./chunk-VTMLFGPS.js";import{A as nt,h as O,s as p,t as y,u as V,v as Y,w as q,x as Q,y as Z,z as tt}from"./chunk-YFS5E4MT.js";import"./chunk-ZMPFVH2T.js";import{d as P,e as mt,f as gt}from"./chunk-64EP7LJC.js";import{P as J,S as z,T as D,u as b,w as B,x as R}from"./chunk-HER4SMRH.js";import{a as S,b as E}from"./chunk-PRTB6RIE.js";import{a as I,i as F,j as G,s as M}from"./chunk-RJC22BYP.js";import{a,f as _,g as j}from"./chunk-QA55TPRG.js";import{mkdir as sn}from"node:fs/promises";import{delimiter as an,join as cn}from"node:path";var It=1024*1024,Rt=30,Ft=2e3;function Nt(t){let n=[`## Nix Cache Preflight

**${p(V(t))}**`,Mt(t),Bt(t),Wt(t),Ht(t),Jt(t),zt(t),Ut(t),Xt(t)].filter(e=>e!=="");return Gt(n)}a(Nt,"summary");function Gt(t){let n=`

_The page was too long and is cut; the JSON report holds everything._
`,e="";for(let o of t){let r=e===""?o:`${e}

${o}`;if(Buffer.byteLength(r)>It-n.length)return e+n;e=r}return`${e}
`}a(Gt,"joined");function Mt(t){let n=N(t).filter(({level:r})=>r!=="notice");if(n.length===0)return"";let e=n.slice(0,20).map(({level:r,code:i,message:s,hint:c})=>{let f=r==="error"?"\u274C":"\u26A0\uFE0F",d=s.split(`
`).slice(0,3).join(" ").slice(0,600);return`- ${f} ${p(d)}${i?` (${i})`:""}${c?`<br>${p(c)}`:""}`}),o=n.length>20?`
- and ${n.length-20} more, in the report`:"";return e.join(`
`)+o}a(Mt,"findings");function Bt(t){let{survey:n}=t;if(n.targets.length===0)return"";let o=[...n.targets].sort((r,i)=>Number(O(r.verdict))-Number(O(i.verdict))).map(r=>{let i=Z(n,r),s=O(r.verdict)?"\u2705":r.verdict.kind==="missing"?"\u{1F528}":"\u2754",c=p(Y(n,r.verdict)),f=r.local==="here"?"yes":"";return`| ${s} | ${y(r.name)} | ${c} | ${f} | ${i===void 0?"":b(i)} |`});return`### Targets

${x(`| | target | on a fresh machine | here | size |
|-|-|-|-|-:|`,o)}`}a(Bt,"targets");function Wt({survey:t}){let n=[...t.derivations.values()].filter(({kind:o})=>o==="source");if(n.length===0)return"";let e=n.map(({name:o,heavy:r,wantedBy:i,system:s})=>`| ${y(o)} | ${r==="heavy"?"heavy":""} | ${R(i.length,"target")} | ${p(s)} |`);return`### In no cache

${x(`| derivation | weight | wanted by | system |
|-|-|-|-|`,e)}`}a(Wt,"missing");function x(t,n){let e=n.slice(0,Rt),o=n.slice(Rt,Ft),r=n.length-e.length-o.length,i=o.length===0?"":`

<details><summary>${o.length} more</summary>

${t}
${o.join(`
`)}

</details>`;return`${t}
${e.join(`
`)}${i}${r>0?`

and ${r} more, in the report`:""}`}a(x,"table");function Ht({outcome:t}){let{steps:n,verified:e,pinned:o}=t;if(n.length===0)return"";let r=nt(t),i=n.map(({what:f,begin:d,end:l})=>`| ${p(f)} | ${B((l-d)/1e3)} |`),s=e.map(({target:f,outcome:d,detail:l,paths:h})=>{let m=o.find($=>$.target===f),u=m?`pin ${y(m.name)} ${m.state}`:"",g=`${p(d)}${l?` (${p(l)})`:""}`;return`| ${d==="verified"?"\u2705":"\u26A0\uFE0F"} | ${y(f)} | ${g} | ${h} | ${u} |`}),c=s.length>0?`

### Read back

${x(`| | target | outcome | paths | pin |
|-|-|-|-:|-|`,s)}`:"";return`### Done

${r.length>0?`${p(r.join(", "))}.

`:""}${x(`| step | time |
|-|-:|`,i)}${c}`}a(Ht,"done");function Jt({plan:t,survey:n}){if(n.trust.kind!=="read-only")return"";let e=`This run is read-only: ${p(n.trust.why)}.`;if(t.withheld.length===0)return e;let o=t.withheld.map(({target:r,paths:i})=>`| ${y(r)} | ${i.length} |`);return`${e} It would have pushed:

${x(`| target | roots |
|-|-:|`,o)}`}a(Jt,"withheld");function zt({plan:t,job:n}){let{fileSystems:e,unknownBuilds:o}=t.room;if(e.length===0)return"";let r=e.map(s=>{let c=s.needs.map(({what:f,bytes:d})=>`${f} ${b(d)}`).join(", ");return`| ${y(s.fileSystem.mountPoint)} | ${Dt(s)} | ${b(s.fileSystem.freeBytes)} | ${p(c)} | ${b(s.bytesAfter)} |`}),i=o>0?`

${R(o,"build")} of unknown size; say space= on its target.`:"";return`### Room

${x(`| file system | | free | this run needs | after |
|-|-|-:|-|-:|`,r)}

${b(n.minFree)} is to stay free.${i}`}a(zt,"room");function Dt({fileSystem:t,bytesNeeded:n}){let{totalBytes:e,freeBytes:o}=t;if(e<=0)return"";let r=a(c=>Math.max(0,Math.round(c/e*20)),"part"),i=Math.min(20,r(e-o)),s=Math.min(20-i,n>0?Math.max(1,r(n)):0);return"\u2588".repeat(i)+"\u2592".repeat(s)+"\u2591".repeat(20-i-s)}a(Dt,"bar");function Ut({survey:t}){if(t.tiers.length===0)return"";let n=t.tiers.map(e=>{let{name:o,role:r,state:i,count:s}=e,[c,f]=i.kind==="reachable"?[`${Math.round(i.milliseconds)} ms`,i.priority]:["",""];return`| ${y(o)} | ${r} | ${q(e)} | ${c} | ${f} | ${s.hits} of ${s.asked} | ${b(s.bytes)} |`});return`### Caches

${x(`| cache | role | | answers in | priority | hits | their size |
|-|-|-|-:|-:|-:|-:|`,n)}`}a(Ut,"tiers");function Xt({survey:t}){let n=t.recalled===void 0?"":`; ${p(Q(t.recalled))}`;return`Cache key: ${y(t.key.key)}${n}.`}a(Xt,"key");import{rm as Kt}from"node:fs/promises";import{join as Vt}from"node:path";async function kt(t,n,e,o){if(t.cache.kind!=="github"||process.platform==="win32")return{record:void 0,notices:[]};try{return await qt(await Yt(t,n,e),e,o)}catch(r){o.throwIfAborted();let i={kind:"failed",detail:E(r)};return{record:void 0,notices:[T(i,"nothing")]}}}a(kt,"restoreGithub");async function Yt(t,n,{environment:e}){return pt({job:t,keyFiles:await mt(n,t.keyFiles),platform:process.platform,arch:process.arch,storeDir:e.NIX_STORE_DIR||"/nix/store"})}a(Yt,"layersFor");async function qt(t,n,e){let o=await at(n),{keys:r,trouble:i}=await lt(t,o,e),s=new Set,c=[];for(let[f,d]of t.entries()){let{kind:l,folder:h,key:m}=d,u=r[f],g=Vt(o.directory,h);if(u===void 0){await Kt(g,{recursive:!0,force:!0}),c.push({kind:l,folder:h,key:m});continue}let $=await ut(g,st(n.folder));for(let C of $)s.add(C);c.push({kind:l,folder:h,key:m,...ht(d,u)?{holds:[...$]}:{}}),n.log.info(`github: ${R($.size,"path")} restored from ${u}`)}return{record:{version:1,layers:c,restored:[...s]},notices:i?[T(i,s.size>0?"a part":"nothing")]:[]}}a(qt,"restoreLayers");function St({targets:t}){let n=[];for(let{wanted:e}of t)if(e?.kind==="derivation")n.push(e.drvPath);else if(e?.kind!=="path")return;return n}a(St,"derivationsOf");import{access as Qt,mkdtemp as Zt,readdir as tn}from"node:fs/promises";import{delimiter as nn,join as v}from"node:path";var Ct={version:"2.31.4",base:new URL("https://releases.nixos.org/nix/nix-2.31.4/"),sha256:{"x86_64-linux":"a21fde5116b1f28ef4990cc9fdb2b5002cff43bbd85171e199f2e72b7fc0b9fa","aarch64-linux":"3fdef0c5638853dc78136d27583984e42d16d5e9c1d9569eb0fbec8aed966daf","x86_64-darwin":"e06a1e30b05c707f5c554d213eb60b3282521998d1656d3e05868ff2abc870f6","aarch64-darwin":"f023e8ed587cfd17809e6825aa46520f99b8e3c8c5c6faf3e308f84a839e2e13"}},Et="nix-tarball",en=15*6e4;async function Pt(t){for(let n of(t.PATH??"").split(nn)){if(n==="")continue;if(await Qt(v(n,"nix")).then(()=>!0,()=>!1))return!0}return!1}a(Pt,"hasNix");async function Tt(t){let{release:n,environment:e,log:o,signal:r}=t,i=on(t),s=n.sha256[i];if(s===void 0)throw new S("NCP-201",`install-nix: there is no release of Nix for ${i} here`,{hint:"put a step that installs Nix before this one"});let c=await rn(t,i,s),d=await(await import("./tool-cache-5MPG57Y7.js")).extractTar(c,await Zt(v(t.folder,"nix-")),"xJ"),[l=""]=await tn(d),h=t.platform==="darwin"?"--daemon":"--no-daemon";o.info(`installing Nix ${n.version} for ${i}`);let{code:m,stderr:u}=await gt(v(d,l,"install"),[h,"--yes","--no-channel-add","--no-modify-profile"],{env:z(e,{NIX_CONFIG:`build-users-group =
${e.NIX_CONFIG??""}`}),signal:r,deadline:en,onErrorLine:a(g=>o.info(g),"onErrorLine")});if(m!==0)throw new S("NCP-201",`install-nix: Nix's installer ended with ${m}: ${u}`);return["/nix/var/nix/profiles/default/bin",v(e.HOME??"",".nix-profile/bin")]}a(Tt,"installNix");async function rn({release:t,environment:n,log:e},o,r){let i=await import("./tool-cache-5MPG57Y7.js"),{version:s,base:c}=t,f=`nix-${s}-${o}.tar.xz`,d=o.split("-")[0]??o,l=(n.RUNNER_TOOL_CACHE??"")!=="",h=l?i.find(Et,s,d):"";if(h!==""){let g=v(h,f);if(await P(g)===r)return g;throw Ot(`the tool cache's ${g}`,r)}let m=new URL(f,c).href;e.info(`downloading ${m}`);let u=await i.downloadTool(m);if(await P(u)!==r)throw Ot(m,r);return l?v(await i.cacheFile(u,f,Et,s,d),f):u}a(rn,"fetchTarball");function Ot(t,n){return new S("NCP-201",`install-nix: ${t} has not the SHA-256 ${n}`,{hint:"it is damaged or was changed, and is not used: remove it, or install Nix in a step of its own"})}a(Ot,"mismatch");function on({platform:t,arch:n}){return`${n==="arm64"?"aarch64":n==="x64"?"x86_64":n}-${t}`}a(on,"systemOf");function At(){return $t(async t=>{var $=[];try{let n=await ft(D());it(n);let e=dt(n);let{job:o}=n;w.info(`nix-cache-preflight: ${o.mode}, cache ${o.cacheName}, ${e.kind} (${e.why})`);let r=await fn(n,t);let i=kt(o,r.workspace,{...r,log:w},t);i.catch(()=>{});let{compose:s}=await wt();let c=_($,await s({...r,platform:process.platform,log:w,signal:t}),!0);let f=await c.storeNames();let{record:d,notices:l}=await i;let h={...c.world,notices:[...c.world.notices,...l]};let m=await W(o,e,h,t);await dn(m,r);if(d){let k=St(m.survey);await ct({...d,...k?{derivations:k}:{}},r.folder)}let u=m.survey.targets.flatMap(({name:k,outputs:L,pinName:jt})=>L?[{name:k,outputs:L,pinName:jt}]:[]);let g=H(o,e,c.world)?await rt({environment:r.environment,storeNames:[...await c.storeNames()]},r.folder):void 0;M(xt,await vt({trust:e,memory:{targets:u,storeNames:f},watcher:g},r.folder,bt(r)));yt(N(m))}catch(C){var Lt=C,_t=!0}finally{var A=j($,Lt,_t);A&&await A}})}a(At,"main");async function fn(t,n){let{environment:e,folder:o,job:r}=t,{platform:i,arch:s}=process;if(r.installNix!=="install"||i==="win32"||await Pt(e))return t;await sn(o,{recursive:!0});let c=await Tt({release:Ct,environment:e,platform:i,arch:s,folder:o,log:w,signal:n});for(let d of c)F(d);let f=[...c,e.PATH??""].join(an);return{...t,environment:{...e,PATH:f}}}a(fn,"withNix");async function dn(t,{folder:n}){let e=cn(n,"report.json");await J(e,`${JSON.stringify(X(t),null,2)}
`);for(let[o,r]of Object.entries(K(t,e)))G(o,r);for(let o of et(t))w.info(o);for(let o of U(N(t)))ot(o);await I.addRaw(Nt(t)).write().catch(o=>w.info(`the job summary was not written: ${E(o)}`)),w.info(tt(t))}a(dn,"tell");await At();
