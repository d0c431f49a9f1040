import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as Q,b as re,c as se}from"./chunk-AT4S53KQ.js";import{c as pe,d as M,e as de,i as A,j as ue}from"./chunk-VMANDR5B.js";import{B as I,C as ce,F as le,m as K,n as q}from"./chunk-U7IW5TAP.js";import{d as ae}from"./chunk-TROF6KML.js";import{Fa as ne,La as oe,Oa as ie,Pa as P,a as h,d as T,e as J,na as R,p as L,ta as te}from"./chunk-HYZGYHOZ.js";import"./chunk-FZXRR6ZB.js";import{i as ee}from"./chunk-M5CRT4ZD.js";import{N,X as S,e as x}from"./chunk-ZWBKLCJB.js";import{f as Z}from"./chunk-7ORI5MTM.js";import"./chunk-4M77V4LJ.js";import"./chunk-EQQ3TLQN.js";import{a as u,c as E,f as B}from"./chunk-KNWA7CBA.js";import{a as i,f as _,g as X}from"./chunk-QA55TPRG.js";import{rm as ve}from"node:fs/promises";import{join as _e}from"node:path";import{parseArgs as Ne}from"node:util";var w=["bash","zsh","fish"],d="nix-cache-preflight";function fe(e,t){switch(e){case"bash":return Oe(t);case"zsh":return je(t);case"fish":return Te(t);default:return e}}i(fe,"completionScript");var G=Object.entries(ce).filter(([e])=>e!=="mode"),$=["json","remove","files-only","verbose","help","version"],D="nix --extra-experimental-features 'nix-command flakes' build";function Oe({options:e,commands:t}){let n=G.map(([r,o])=>`    --${r}) words="${o.join(" ")}" ;;`);return`# bash completion for ${d}: eval "$(${d} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${n.join(`
`)}
    completion) words="${w.join(" ")}" ;;
    --*) case $prev in ${$.map(r=>`--${r}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...h,...t].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,...$].map(r=>`--${r}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${D} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${d}
`}i(Oe,"bash");function je({options:e,commands:t}){let n=new Map(G.map(([o,s])=>[o,s.join(" ")])),r=e.map(o=>{let s=n.get(o);return`    '--${o}[input ${o}]:value:${s===void 0?"":`(${s})`}'`});return`#compdef ${d}
# zsh completion for ${d}: eval "$(${d} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${D} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
  compadd -- $found
}
_nix_cache_preflight_rest() {
  if [[ $words[2] == completion ]]; then compadd -- ${w.join(" ")}
  else _nix_cache_preflight_targets
  fi
}
_nix_cache_preflight() {
  _arguments -S \\
    '1:command:(${[...h,...t].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${$.map(o=>`'--${o}'`).join(" ")} \\
${r.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${d}
fi
`}i(je,"zsh");function Te({options:e,commands:t}){let n=new Map(G.map(([o,s])=>[o,s.join(" ")])),r=e.map(o=>{let s=n.get(o);return`complete -c ${d} -l ${o} -x${s===void 0?"":` -a "${s}"`}`});return`# fish completion for ${d}: ${d} completion fish | source
complete -c ${d} -f
complete -c ${d} -n __fish_use_subcommand -a "${[...h,...t].join(" ")}"
complete -c ${d} -n "__fish_seen_subcommand_from completion" -a "${w.join(" ")}"
complete -c ${d} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${D} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${$.map(o=>`complete -c ${d} -l ${o}`).join(`
`)}
${r.join(`
`)}
`}i(Te,"fish");var U={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},Le=new Set(["targets","mode","token","signing-key","install-nix","nix-version","nix-sha256","summary"]),k=Object.keys(I).filter(e=>!Le.has(e)),W=["why","setup","completion"],F=[...h,...W];function me(e,t){let{values:n,positionals:r}=Re(e);if(n.help===!0)return{kind:"help",asked:"yes"};if(n.version===!0)return{kind:"version"};let[o,...s]=r;if(o===void 0)return{kind:"help",asked:"no"};if(o==="help")return{kind:"help",asked:"yes"};if(!F.includes(o))throw new u("NCP-640",`"${o}" is not a command.${S(o,F)}`,{hint:`say one of ${F.join(", ")}, or --help`});if(o==="completion")return{kind:"completion",shell:Pe(s)};let a=n.json===!0?"json":"text",c=n.remove===!0;if(c&&o!=="setup")throw new u("NCP-640",`${o}: --remove belongs to setup`,{hint:"write setup --remove: it takes back what setup added to your Nix configuration"});let p=n.verbose===!0?"verbose":"usual";if(n["files-only"]===!0){if(o==="audit"&&s.length===0)return{kind:"files",inputs:H(n,t),format:a,log:p};throw new u("NCP-640","--files-only is for audit, without targets",{hint:"write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache"})}if(o==="setup"){if(s[0]!==void 0)throw new u("NCP-640",`setup: "${s[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});let y=H(n,t);if(c&&(n.cache!==void 0||n.substituters!==void 0))throw new u("NCP-640","setup --remove takes back all that setup added",{hint:"leave --cache and --substituters out; setup adds again what is to stay"});return{kind:c?"take back":"setup",inputs:y,format:a,log:p}}let l=H(n,t),g=s.join(`
`);if(o==="why"){if(g===""||l.cache==="none"){let y=g===""?"for which target?":"there is no cache to compare with";throw new u("NCP-140",`why: ${y}`,{hint:"write why TARGET --cache CACHE: what the default branch built is kept beside that cache"})}return{kind:"run",shows:"why",inputs:{...l,mode:"check",targets:g},format:a,log:p}}return{kind:"run",shows:"the report",inputs:{...l,mode:o,targets:g},format:a,log:p}}i(me,"parseCommand");function Re(e){let t=Object.fromEntries(k.map(n=>[n,{type:"string"}]));try{return Ne({args:[...e],allowPositionals:!0,options:{...t,json:{type:"boolean"},remove:{type:"boolean"},"files-only":{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(n){let r=String(n).replace(/^TypeError[^:]*: /,""),o=/^Unknown option '-*([^']*)'/.exec(r)?.[1],s=[...k,...$],a=o===void 0?"":S(o,s),c=o===void 0?r:`there is no option --${o}.${a}`;throw new u("NCP-640",c,{hint:"--help lists all options"})}}i(Re,"parsed");function H(e,t){let n=Object.fromEntries(k.flatMap(o=>{let s=e[o];return typeof s=="string"?[[o,s]]:[]}));if(n.cache?.trim()==="github")throw new u("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let r=Object.fromEntries(Object.entries(U).map(([o,s])=>[o,t[s]??""]));return{...I,cache:"none",...n,...r}}i(H,"inputsOf");function Pe([e="",...t]){let n=w.find(o=>o===e);if(n&&t.length===0)return n;let r=e===""?"completion: for which shell?":`completion: "${[e,...t].join(" ")}" is not a shell it knows.`;throw new u("NCP-640",`${r}${S(e,w)}`,{hint:`write completion ${w.join(", completion ")}`})}i(Pe,"shellNamed");import{mkdir as Ie,mkdtemp as he,readdir as Me,rm as we}from"node:fs/promises";import{homedir as Ae,tmpdir as Ge}from"node:os";import{join as b}from"node:path";async function ge(e){let t=Fe(e);try{await Ie(t,{recursive:!0,mode:448});for(let n of await Me(t)){let r=/^run-(\d+)-/.exec(n)?.[1];r!==void 0&&!De(Number(r))&&await we(b(t,n),{recursive:!0,force:!0})}return await we(b(t,"netrc"),{force:!0}),await he(b(t,`run-${process.pid}-`))}catch{return he(b(Ge(),"nix-cache-preflight-"))}}i(ge,"beginFolder");function De(e){try{return process.kill(e,0),!0}catch(t){return t.code==="EPERM"}}i(De,"isAlive");function Fe(e){let t=e.HOME??Ae();return b(e.XDG_STATE_HOME||b(t,".local","state"),"nix-cache-preflight")}i(Fe,"stateFolder");async function ye(e,t){let{setUp:n}=await import("./compose-setup-LD7A3T2R.js");t.log.group("Set up");try{return await n({...e,...t,code:"ours",workspace:process.cwd(),platform:process.platform})}finally{t.log.endGroup()}}i(ye,"setup");async function $e(e){let{takeBackSetUp:t}=await import("./compose-setup-LD7A3T2R.js");return t({...e,workspace:process.cwd()})}i($e,"remove");function ke({file:e,removed:t}){let n=t.length===0?`nothing to take back: ${e} holds no line of ours`:`${x(t.length,"line")} taken out of ${e}`;return[...t.map(r=>`  removed ${r}`),n].map(R)}i(ke,"removeLines");function be({file:e,caches:t,added:n,troubles:r}){let{substituters:o,publicKeys:s}=n,a=o.length+s.length>0,c=[...o.map(l=>`  substituter ${l}: added`),...s.map(l=>`  key ${l}: added`),...t.filter(({url:l})=>!o.includes(l)).map(({url:l})=>`  substituter ${l}: was there already`),...r.flatMap(l=>[`error ${l.code}: ${E(l)}`,...l.hint===void 0?[]:[`  \u2192 ${l.hint}`]])],p=a?`${x(o.length,"substituter")} and ${x(s.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...c,p].flatMap(l=>l.split(`
`)).map(R)}i(be,"setupLines");function Ee({file:e,caches:t,added:n,troubles:r}){return{file:e,caches:t,added:n,errors:r.map(o=>({code:o.code,message:E(o),hint:o.hint??null}))}}i(Ee,"setupJson");async function Wt(e){let t=ee(),n,r;try{n=me(e,t),r="inputs"in n?le(n.inputs):void 0}catch(o){return z(o,e.includes("--json")?"json":"text"),2}switch(n.kind){case"help":return process.stdout.write(Ke()),n.asked==="yes"?0:2;case"version":return process.stdout.write(`${ae}
`),0;case"completion":return process.stdout.write(fe(n.shell,{options:k,commands:W})),0;case"files":return r?Ue(n.format,r,t):2;case"setup":case"take back":case"run":return r?He(n,r,t):2;default:return n}}i(Wt,"main");async function He(e,t,n){let r=new AbortController,o=i(f=>{r.signal.aborted&&process.exit(1),r.abort(new u("NCP-501",`interrupted by ${f}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",o),process.on("SIGTERM",o);let{signal:s}=r,a=await ge(n),c=_e(a,"roots");try{var p=[];try{let f=_(p,await ze(n,e.log));let Qe=_(p,e.log==="verbose"?Z(m=>f.log.debug(m),J(t.secrets)):void 0);let V={environment:n,folder:a,log:f.log,signal:s};if(e.kind==="take back"){let m=await $e(V);return f.end(),e.format==="json"?C(m):process.stdout.write(`${ke(m).join(`
`)}
`),0}if(e.kind==="setup"){let m=await ye(t,V);return f.end(),e.format==="json"?C(Ee(m)):process.stdout.write(`${be(m).join(`
`)}
`),m.troubles.length>0?1:0}let{job:O}=t;let{compose:Se}=await import("./compose-3EOE37HM.js");let j=Ye(t.trust);let Ce=_(p,await Se({...t,code:T(j),environment:n,workspace:_e(process.cwd(),t.workingDirectory),folder:a,needs:"store and checkout",platform:process.platform,log:f.log,signal:s,...L[O.mode].has("substitute")?{rootsFolder:c}:{},buildsToEvaluate:T(j)==="ours"&&L[O.mode].has("substitute")?"allowed":"forbidden"}),!0);let v=await Q(O,j,Ce.world,s);f.end();e.format==="json"?xe(re(v)):e.shows==="why"?Be(v,process.stdout):Xe(v,process.stdout);return se(v).some(({level:m})=>m==="error")?1:0}catch(l){var g=l,Y=!0}finally{var y=X(p,g,Y);y&&await y}}catch(f){return z(f,e.format),1}finally{await ve(c,{recursive:!0,force:!0}),process.off("SIGINT",o),process.off("SIGTERM",o),await ve(a,{recursive:!0,force:!0})}}i(He,"work");async function Ue(e,{job:t},n){try{let{openProject:r}=await import("./compose-3EOE37HM.js"),{files:o,addresses:s}=r(n,process.cwd()),a={checks:K(await o.look([],We),s),sizes:void 0},c=q(t,a);return e==="json"?C({audit:a,findings:c}):process.stdout.write(`${te(a).slice(1).join(`
`)}
`),c.some(({level:p})=>p==="error")?1:0}catch(r){return z(r,e),1}}i(Ue,"auditFiles");var We=new AbortController().signal;async function ze(e,t){if(t==="usual"&&pe(process.stderr,e)){let{display:n}=await import("./display-K5X2GIQF.js");return n(process.stderr,e)}return{log:ue(n=>process.stderr.write(`${n}
`),t),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(ze,"openLog");function Ye(e){return e==="read-only"?{kind:"read-only",code:"strange",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(Ye,"commandLineTrust");function z(e,t){let n=B(e)??e,r=n instanceof u,o=r?n.code:"NCP-649",s=r?E(n):`a fault of nix-cache-preflight: ${n instanceof Error?n.stack??n.message:String(n)}`,a=r?n.hint:"please report it, with this text and the command";t==="json"&&C({error:{code:o,message:s,hint:a??null}});let c=`error ${o}: ${s}
${a?`  \u2192 ${a}
`:""}`;process.stderr.write(N(c))}i(z,"tell");function C(e){xe(JSON.stringify(e,null,2))}i(C,"print");function xe(e){process.stdout.write(N(`${e}
`))}i(xe,"write");var Ve=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Xe(e,t){let n=de(t),r=i((a,c)=>{let p=t.isTTY?A(a,M(t)):a;t.write(`${c===void 0?p:n(c,p)}
`)},"print"),[o="",...s]=ie(e);r(o,"bold");for(let a of[...s,...P(e)])r(a,Ve.find(([c])=>c.test(a))?.[1]);r(ne(e))}i(Xe,"showRun");function Be(e,t){for(let n of[...oe(e),...P(e)])t.write(`${t.isTTY?A(n,M(t)):n}
`)}i(Be,"showWhy");var Je=80;function Ke(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  why        why is a target in no cache that the default branch has built?
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
             (setup --remove takes all of that back)
  completion bash|zsh|fish

TARGET: an installable (.#name, nixpkgs#bws), 'hello file=default.nix'; without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${qe(k.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
  --files-only (audit: the project's files alone; nothing is evaluated or asked)
Secrets: ${Object.values(U).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Ke,"helpText");function qe(e){let t=[];for(let n of e){let r=t.at(-1);r!==void 0&&r.length+1+n.length<=Je?t[t.length-1]=`${r} ${n}`:t.push(`  ${n}`)}return t.join(`
`)}i(qe,"wrapped");export{Ke as helpText,Wt as main};
