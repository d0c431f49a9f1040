import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as z,b as w,c as ot,d as rt,e as T,g as mt,l as lt,n as ut,o as pt,q as gt,r as yt,s as $t,t as wt,u as bt,v as xt}from"./chunk-VAOB6JUV.js";import{a as J}from"./chunk-H25FUASC.js";import{c as et,f as it,g as st,h as at,k as ct,m as ft}from"./chunk-UOENZSZG.js";import{a as H,b as X,c as N,d as K,e as nt}from"./chunk-LRK3HMYS.js";import{j as p,k as y,l as V,m as Y,n as q,o as Q,p as Z,q as tt}from"./chunk-NPYXQZYQ.js";import{h as O}from"./chunk-5P2JQ33I.js";import{a as P,b as dt,c as ht}from"./chunk-PXKSVQFI.js";import{P as W,S as D,T as U,u as x,w as B,x as R}from"./chunk-JSLXIXQF.js";import{a as S,b as E}from"./chunk-PRTB6RIE.js";import{a as I,i as F,j as G,s as M}from"./chunk-RJC22BYP.js";import{a,f as _,g as j}from"./chunk-QA55TPRG.js";import{mkdir as rn}from"node:fs/promises";import{delimiter as sn,join as an}from"node:path";var jt=1024*1024,vt=30,It=2e3;function Rt(t){let n=[`## Nix Cache Preflight

**${p(V(t))}**`,Gt(t),Mt(t),Bt(t),Ht(t),Jt(t),Wt(t),Ut(t),zt(t)].filter(e=>e!=="");return Ft(n)}a(Rt,"summary");function Ft(t){let n=`

_The page was too long and is cut; the JSON report holds everything._
`,e="";for(let r of t){let o=e===""?r:`${e}

${r}`;if(Buffer.byteLength(o)>jt-n.length)return e+n;e=o}return`${e}
`}a(Ft,"joined");function Gt(t){let n=N(t).filter(({level:o})=>o!=="notice");if(n.length===0)return"";let e=n.slice(0,20).map(({level:o,code:i,message:s,hint:c})=>{let f=o==="error"?"\u274C":"\u26A0\uFE0F",d=s.split(`
`).slice(0,3).join(" ").slice(0,600);return`- ${f} ${p(d)}${i?` (${i})`:""}${c?`<br>${p(c)}`:""}`}),r=n.length>20?`
- and ${n.length-20} more, in the report`:"";return e.join(`
`)+r}a(Gt,"findings");function Mt(t){let{survey:n}=t;if(n.targets.length===0)return"";let r=[...n.targets].sort((o,i)=>Number(O(o.verdict))-Number(O(i.verdict))).map(o=>{let i=Q(n,o),s=O(o.verdict)?"\u2705":o.verdict.kind==="missing"?"\u{1F528}":"\u2754",c=p(Y(n,o.verdict)),f=o.local==="here"?"yes":"";return`| ${s} | ${y(o.name)} | ${c} | ${f} | ${i===void 0?"":x(i)} |`});return`### Targets

${b(`| | target | on a fresh machine | here | size |
|-|-|-|-|-:|`,r)}`}a(Mt,"targets");function Bt({survey:t}){let n=[...t.derivations.values()].filter(({kind:r})=>r==="source");if(n.length===0)return"";let e=n.map(({name:r,heavy:o,wantedBy:i,system:s})=>`| ${y(r)} | ${o==="heavy"?"heavy":""} | ${R(i.length,"target")} | ${p(s)} |`);return`### In no cache

${b(`| derivation | weight | wanted by | system |
|-|-|-|-|`,e)}`}a(Bt,"missing");function b(t,n){let e=n.slice(0,vt),r=n.slice(vt,It),o=n.length-e.length-r.length,i=r.length===0?"":`

<details><summary>${r.length} more</summary>

${t}
${r.join(`
`)}

</details>`;return`${t}
${e.join(`
`)}${i}${o>0?`

and ${o} more, in the report`:""}`}a(b,"table");function Ht({outcome:t}){let{steps:n,verified:e,pinned:r}=t;if(n.length===0)return"";let o=tt(t),i=n.map(({what:f,begin:d,end:l})=>`| ${p(f)} | ${B((l-d)/1e3)} |`),s=e.map(({target:f,outcome:d,detail:l,paths:h})=>{let m=r.find($=>$.target===f),u=m?`pin ${y(m.name)} ${m.state}`:"",g=`${p(d)}${l?` (${p(l)})`:""}`;return`| ${d==="verified"?"\u2705":"\u26A0\uFE0F"} | ${y(f)} | ${g} | ${h} | ${u} |`}),c=s.length>0?`

### Read back

${b(`| | target | outcome | paths | pin |
|-|-|-|-:|-|`,s)}`:"";return`### Done

${o.length>0?`${p(o.join(", "))}.

`:""}${b(`| step | time |
|-|-:|`,i)}${c}`}a(Ht,"done");function Jt({plan:t,survey:n}){if(n.trust.kind!=="read-only")return"";let e=`This run is read-only: ${p(n.trust.why)}.`;if(t.withheld.length===0)return e;let r=t.withheld.map(({target:o,paths:i})=>`| ${y(o)} | ${i.length} |`);return`${e} It would have pushed:

${b(`| target | roots |
|-|-:|`,r)}`}a(Jt,"withheld");function Wt({plan:t,job:n}){let{fileSystems:e,unknownBuilds:r}=t.room;if(e.length===0)return"";let o=e.map(s=>{let c=s.needs.map(({what:f,bytes:d})=>`${f} ${x(d)}`).join(", ");return`| ${y(s.fileSystem.mountPoint)} | ${Dt(s)} | ${x(s.fileSystem.freeBytes)} | ${p(c)} | ${x(s.bytesAfter)} |`}),i=r>0?`

${R(r,"build")} of unknown size; say space= on its target.`:"";return`### Room

${b(`| file system | | free | this run needs | after |
|-|-|-:|-|-:|`,o)}

${x(n.minFree)} is to stay free.${i}`}a(Wt,"room");function Dt({fileSystem:t,bytesNeeded:n}){let{totalBytes:e,freeBytes:r}=t;if(e<=0)return"";let o=a(c=>Math.max(0,Math.round(c/e*20)),"part"),i=Math.min(20,o(e-r)),s=Math.min(20-i,n>0?Math.max(1,o(n)):0);return"\u2588".repeat(i)+"\u2592".repeat(s)+"\u2591".repeat(20-i-s)}a(Dt,"bar");function Ut({survey:t}){if(t.tiers.length===0)return"";let n=t.tiers.map(({name:e,role:r,state:o,count:i})=>{let s=o.kind==="reachable"?`${Math.round(o.milliseconds)} ms`:"not reachable",c=o.kind==="reachable"?o.info.priority??"":"";return`| ${y(e)} | ${r} | ${s} | ${c} | ${i.hits} of ${i.asked} |`});return`### Caches

${b(`| cache | role | answers in | priority | hits |
|-|-|-:|-:|-:|`,n)}`}a(Ut,"tiers");function zt({survey:t}){let n=t.recalled===void 0?"":`; ${p(q(t.recalled))}`;return`Cache key: ${y(t.key.key)}${n}.`}a(zt,"key");import{rm as Xt}from"node:fs/promises";import{join as Kt}from"node:path";async function Nt(t,n,e,r){if(t.cache.kind!=="github"||process.platform==="win32")return{record:void 0,notices:[]};try{return await Yt(await Vt(t,n,e),e,r)}catch(o){r.throwIfAborted();let i={kind:"failed",detail:E(o)};return{record:void 0,notices:[T(i,"nothing")]}}}a(Nt,"restoreGithub");async function Vt(t,n,{environment:e}){return ut({job:t,keyFiles:await dt(n,t.keyFiles),platform:process.platform,arch:process.arch,storeDir:e.NIX_STORE_DIR||"/nix/store"})}a(Vt,"layersFor");async function Yt(t,n,e){let r=await st(n),{keys:o,trouble:i}=await mt(t,r,e),s=new Set,c=[];for(let[f,d]of t.entries()){let{kind:l,folder:h,key:m}=d,u=o[f],g=Kt(r.directory,h);if(u===void 0){await Xt(g,{recursive:!0,force:!0}),c.push({kind:l,folder:h,key:m});continue}let $=await lt(g,it(n.folder));for(let C of $)s.add(C);c.push({kind:l,folder:h,key:m,...pt(d,u)?{holds:[...$]}:{}}),n.log.info(`github: ${R($.size,"path")} restored from ${u}`)}return{record:{version:1,layers:c,restored:[...s]},notices:i?[T(i,s.size>0?"a part":"nothing")]:[]}}a(Yt,"restoreLayers");function kt({targets:t}){let n=[];for(let{wanted:e}of t)if(e?.kind==="derivation")n.push(e.drvPath);else if(e?.kind!=="path")return;return n}a(kt,"derivationsOf");import{access as qt,mkdtemp as Qt,readdir as Zt}from"node:fs/promises";import{delimiter as tn,join as v}from"node:path";var Ot={version:"2.31.4",base:new URL("https://releases.nixos.org/nix/nix-2.31.4/"),sha256:{"x86_64-linux":"a21fde5116b1f28ef4990cc9fdb2b5002cff43bbd85171e199f2e72b7fc0b9fa","aarch64-linux":"3fdef0c5638853dc78136d27583984e42d16d5e9c1d9569eb0fbec8aed966daf","x86_64-darwin":"e06a1e30b05c707f5c554d213eb60b3282521998d1656d3e05868ff2abc870f6","aarch64-darwin":"f023e8ed587cfd17809e6825aa46520f99b8e3c8c5c6faf3e308f84a839e2e13"}},St="nix-tarball",nn=15*6e4;async function Ct(t){for(let n of(t.PATH??"").split(tn)){if(n==="")continue;if(await qt(v(n,"nix")).then(()=>!0,()=>!1))return!0}return!1}a(Ct,"hasNix");async function Pt(t){let{release:n,environment:e,log:r,signal:o}=t,i=on(t),s=n.sha256[i];if(s===void 0)throw new S("NCP-201",`install-nix: there is no release of Nix for ${i} here`,{hint:"put a step that installs Nix before this one"});let c=await en(t,i,s),d=await(await import("./tool-cache-5MPG57Y7.js")).extractTar(c,await Qt(v(t.folder,"nix-")),"xJ"),[l=""]=await Zt(d),h=t.platform==="darwin"?"--daemon":"--no-daemon";r.info(`installing Nix ${n.version} for ${i}`);let{code:m,stderr:u}=await ht(v(d,l,"install"),[h,"--yes","--no-channel-add","--no-modify-profile"],{env:D(e,{NIX_CONFIG:`build-users-group =
${e.NIX_CONFIG??""}`}),signal:o,deadline:nn,onErrorLine:a(g=>r.info(g),"onErrorLine")});if(m!==0)throw new S("NCP-201",`install-nix: Nix's installer ended with ${m}: ${u}`);return["/nix/var/nix/profiles/default/bin",v(e.HOME??"",".nix-profile/bin")]}a(Pt,"installNix");async function en({release:t,environment:n,log:e},r,o){let i=await import("./tool-cache-5MPG57Y7.js"),{version:s,base:c}=t,f=`nix-${s}-${r}.tar.xz`,d=r.split("-")[0]??r,l=(n.RUNNER_TOOL_CACHE??"")!=="",h=l?i.find(St,s,d):"";if(h!==""){let g=v(h,f);if(await P(g)===o)return g;throw Et(`the tool cache's ${g}`,o)}let m=new URL(f,c).href;e.info(`downloading ${m}`);let u=await i.downloadTool(m);if(await P(u)!==o)throw Et(m,o);return l?v(await i.cacheFile(u,f,St,s,d),f):u}a(en,"fetchTarball");function Et(t,n){return new S("NCP-201",`install-nix: ${t} has not the SHA-256 ${n}`,{hint:"it is damaged or was changed, and is not used: remove it, or install Nix in a step of its own"})}a(Et,"mismatch");function on({platform:t,arch:n}){return`${n==="arm64"?"aarch64":n==="x64"?"x86_64":n}-${t}`}a(on,"systemOf");function Tt(){return yt(async t=>{var $=[];try{let n=await ct(U());rt(n);let e=ft(n);let{job:r}=n;w.info(`nix-cache-preflight: ${r.mode}, cache ${r.cacheName}, ${e.kind} (${e.why})`);let o=await cn(n,t);let i=Nt(r,o.workspace,{...o,log:w},t);i.catch(()=>{});let{compose:s}=await $t();let c=_($,await s({...o,platform:process.platform,log:w,signal:t}),!0);let f=await c.storeNames();let{record:d,notices:l}=await i;let h={...c.world,notices:[...c.world.notices,...l]};let m=await H(r,e,h,t);await fn(m,o);if(d){let k=kt(m.survey);await at({...d,...k?{derivations:k}:{}},o.folder)}let u=m.survey.targets.flatMap(({name:k,outputs:L,pinName:_t})=>L?[{name:k,outputs:L,pinName:_t}]:[]);let g=J(r,e,c.world)?await et({environment:o.environment,storeNames:[...await c.storeNames()]},o.folder):void 0;M(bt,await xt({trust:e,memory:{targets:u,storeNames:f},watcher:g},o.folder,wt(o)));gt(N(m))}catch(C){var At=C,Lt=!0}finally{var A=j($,At,Lt);A&&await A}})}a(Tt,"main");async function cn(t,n){let{environment:e,folder:r,job:o}=t,{platform:i,arch:s}=process;if(o.installNix!=="install"||i==="win32"||await Ct(e))return t;await rn(r,{recursive:!0});let c=await Pt({release:Ot,environment:e,platform:i,arch:s,folder:r,log:w,signal:n});for(let d of c)F(d);let f=[...c,e.PATH??""].join(sn);return{...t,environment:{...e,PATH:f}}}a(cn,"withNix");async function fn(t,{folder:n}){let e=an(n,"report.json");await W(e,`${JSON.stringify(X(t),null,2)}
`);for(let[r,o]of Object.entries(K(t,e)))G(r,o);for(let r of nt(t))w.info(r);for(let r of z(N(t)))ot(r);await I.addRaw(Rt(t)).write().catch(r=>w.info(`the job summary was not written: ${E(r)}`)),w.info(Z(t))}a(fn,"tell");await Tt();
