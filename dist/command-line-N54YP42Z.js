import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as J,b as ee,c as te}from"./chunk-2VOGTFKL.js";import{c as ae,d as ce,e as le,i as pe,j as de}from"./chunk-EU5CJSNX.js";import{A as R,B as se,E as ie,e as X,f as B}from"./chunk-JKIKCLFO.js";import{i as re}from"./chunk-2VBQ2LNK.js";import{a as h,d as O,da as L,e as V,ja as Q,l as T,ta as Z,ya as ne,za as oe}from"./chunk-ZT4DUQF2.js";import"./chunk-XJZMSAOC.js";import{h as q}from"./chunk-4OFF3X7Q.js";import{M as N,W as _,e as v}from"./chunk-W7HOUU6L.js";import{f as K}from"./chunk-Y625PZ5O.js";import"./chunk-4M77V4LJ.js";import"./chunk-5RJXLFSW.js";import{a as u,c as k,f as Y}from"./chunk-ZD5TN7P3.js";import{a as i,f as E,g as z}from"./chunk-QA55TPRG.js";import{rm as Ee}from"node:fs/promises";import{join as ve}from"node:path";import{parseArgs as Oe}from"node:util";var g=["bash","zsh","fish"],d="nix-cache-preflight";function ue(e,n){switch(e){case"bash":return Se(n);case"zsh":return Ce(n);case"fish":return je(n);default:return e}}i(ue,"completionScript");var P=Object.entries(se).filter(([e])=>e!=="mode"),w=["json","remove","files-only","verbose","help","version"],I="nix --extra-experimental-features 'nix-command flakes' build";function Se({options:e,commands:n}){let t=P.map(([r,o])=>`    --${r}) words="${o.join(" ")}" ;;`);return`# bash completion for ${d}: eval "$(${d} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${t.join(`
`)}
    completion) words="${g.join(" ")}" ;;
    --*) case $prev in ${w.map(r=>`--${r}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...h,...n].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,...w].map(r=>`--${r}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${I} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${d}
`}i(Se,"bash");function Ce({options:e,commands:n}){let t=new Map(P.map(([o,s])=>[o,s.join(" ")])),r=e.map(o=>{let s=t.get(o);return`    '--${o}[input ${o}]:value:${s===void 0?"":`(${s})`}'`});return`#compdef ${d}
# zsh completion for ${d}: eval "$(${d} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${I} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
  compadd -- $found
}
_nix_cache_preflight_rest() {
  if [[ $words[2] == completion ]]; then compadd -- ${g.join(" ")}
  else _nix_cache_preflight_targets
  fi
}
_nix_cache_preflight() {
  _arguments -S \\
    '1:command:(${[...h,...n].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${w.map(o=>`'--${o}'`).join(" ")} \\
${r.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${d}
fi
`}i(Ce,"zsh");function je({options:e,commands:n}){let t=new Map(P.map(([o,s])=>[o,s.join(" ")])),r=e.map(o=>{let s=t.get(o);return`complete -c ${d} -l ${o} -x${s===void 0?"":` -a "${s}"`}`});return`# fish completion for ${d}: ${d} completion fish | source
complete -c ${d} -f
complete -c ${d} -n __fish_use_subcommand -a "${[...h,...n].join(" ")}"
complete -c ${d} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${d} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${I} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${w.map(o=>`complete -c ${d} -l ${o}`).join(`
`)}
${r.join(`
`)}
`}i(je,"fish");var D={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},Ne=new Set(["targets","mode","token","signing-key","install-nix","nix-version","nix-sha256","summary"]),y=Object.keys(R).filter(e=>!Ne.has(e)),G=["setup","completion"],M=[...h,...G];function me(e,n){let{values:t,positionals:r}=Te(e);if(t.help===!0)return{kind:"help",asked:"yes"};if(t.version===!0)return{kind:"version"};let[o,...s]=r;if(o===void 0)return{kind:"help",asked:"no"};if(o==="help")return{kind:"help",asked:"yes"};if(!M.includes(o))throw new u("NCP-640",`"${o}" is not a command.${_(o,M)}`,{hint:`say one of ${M.join(", ")}, or --help`});if(o==="completion")return{kind:"completion",shell:Le(s)};let a=t.json===!0?"json":"text",c=t.remove===!0;if(c&&o!=="setup")throw new u("NCP-640",`${o}: --remove belongs to setup`,{hint:"write setup --remove: it takes back what setup added to your Nix configuration"});let p=t.verbose===!0?"verbose":"usual";if(t["files-only"]===!0){if(o==="audit"&&s.length===0)return{kind:"files",inputs:A(t,n),format:a,log:p};throw new u("NCP-640","--files-only is for audit, without targets",{hint:"write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache"})}if(o==="setup"){if(s[0]!==void 0)throw new u("NCP-640",`setup: "${s[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});let x=A(t,n);if(c&&(t.cache!==void 0||t.substituters!==void 0))throw new u("NCP-640","setup --remove takes back all that setup added",{hint:"leave --cache and --substituters out; setup adds again what is to stay"});return{kind:c?"take back":"setup",inputs:x,format:a,log:p}}return{kind:"run",inputs:{...A(t,n),mode:o,targets:s.join(`
`)},format:a,log:p}}i(me,"parseCommand");function Te(e){let n=Object.fromEntries(y.map(t=>[t,{type:"string"}]));try{return Oe({args:[...e],allowPositionals:!0,options:{...n,json:{type:"boolean"},remove:{type:"boolean"},"files-only":{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(t){let r=String(t).replace(/^TypeError[^:]*: /,""),o=/^Unknown option '-*([^']*)'/.exec(r)?.[1],s=[...y,...w],a=o===void 0?"":_(o,s),c=o===void 0?r:`there is no option --${o}.${a}`;throw new u("NCP-640",c,{hint:"--help lists all options"})}}i(Te,"parsed");function A(e,n){let t=Object.fromEntries(y.flatMap(o=>{let s=e[o];return typeof s=="string"?[[o,s]]:[]}));if(t.cache?.trim()==="github")throw new u("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let r=Object.fromEntries(Object.entries(D).map(([o,s])=>[o,n[s]??""]));return{...R,cache:"none",...t,...r}}i(A,"inputsOf");function Le([e="",...n]){let t=g.find(o=>o===e);if(t&&n.length===0)return t;let r=e===""?"completion: for which shell?":`completion: "${[e,...n].join(" ")}" is not a shell it knows.`;throw new u("NCP-640",`${r}${_(e,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(Le,"shellNamed");import{mkdir as Re,mkdtemp as fe,readdir as Pe,rm as he}from"node:fs/promises";import{homedir as Ie,tmpdir as Me}from"node:os";import{join as $}from"node:path";async function ge(e){let n=De(e);try{await Re(n,{recursive:!0,mode:448});for(let t of await Pe(n)){let r=/^run-(\d+)-/.exec(t)?.[1];r!==void 0&&!Ae(Number(r))&&await he($(n,t),{recursive:!0,force:!0})}return await he($(n,"netrc"),{force:!0}),await fe($(n,`run-${process.pid}-`))}catch{return fe($(Me(),"nix-cache-preflight-"))}}i(ge,"beginFolder");function Ae(e){try{return process.kill(e,0),!0}catch(n){return n.code==="EPERM"}}i(Ae,"isAlive");function De(e){let n=e.HOME??Ie();return $(e.XDG_STATE_HOME||$(n,".local","state"),"nix-cache-preflight")}i(De,"stateFolder");async function we(e,n){let{setUp:t}=await import("./compose-setup-JGDOBK4M.js");n.log.group("Set up");try{return await t({...e,...n,code:"ours",workspace:process.cwd(),platform:process.platform})}finally{n.log.endGroup()}}i(we,"setup");async function ye(e){let{takeBackSetUp:n}=await import("./compose-setup-JGDOBK4M.js");return n({...e,workspace:process.cwd()})}i(ye,"remove");function $e({file:e,removed:n}){let t=n.length===0?`nothing to take back: ${e} holds no line of ours`:`${v(n.length,"line")} taken out of ${e}`;return[...n.map(r=>`  removed ${r}`),t].map(L)}i($e,"removeLines");function ke({file:e,caches:n,added:t,troubles:r}){let{substituters:o,publicKeys:s}=t,a=o.length+s.length>0,c=[...o.map(l=>`  substituter ${l}: added`),...s.map(l=>`  key ${l}: added`),...n.filter(({url:l})=>!o.includes(l)).map(({url:l})=>`  substituter ${l}: was there already`),...r.flatMap(l=>[`error ${l.code}: ${k(l)}`,...l.hint===void 0?[]:[`  \u2192 ${l.hint}`]])],p=a?`${v(o.length,"substituter")} and ${v(s.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...c,p].flatMap(l=>l.split(`
`)).map(L)}i(ke,"setupLines");function be({file:e,caches:n,added:t,troubles:r}){return{file:e,caches:n,added:t,errors:r.map(o=>({code:o.code,message:k(o),hint:o.hint??null}))}}i(be,"setupJson");async function Gt(e){let n=q(),t,r;try{t=me(e,n),r="inputs"in t?ie(t.inputs):void 0}catch(o){return F(o,e.includes("--json")?"json":"text"),2}switch(t.kind){case"help":return process.stdout.write(Xe()),t.asked==="yes"?0:2;case"version":return process.stdout.write(`${re}
`),0;case"completion":return process.stdout.write(ue(t.shell,{options:y,commands:G})),0;case"files":return r?Fe(t.format,r,n):2;case"setup":case"take back":case"run":return r?Ge(t,r,n):2;default:return t}}i(Gt,"main");async function Ge(e,n,t){let r=new AbortController,o=i(m=>{r.signal.aborted&&process.exit(1),r.abort(new u("NCP-501",`interrupted by ${m}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",o),process.on("SIGTERM",o);let{signal:s}=r,a=await ge(t),c=ve(a,"roots");try{var p=[];try{let m=E(p,await Ue(t,e.log));let Je=E(p,e.log==="verbose"?K(f=>m.log.debug(f),V(n.secrets)):void 0);let W={environment:t,folder:a,log:m.log,signal:s};if(e.kind==="take back"){let f=await ye(W);return m.end(),e.format==="json"?b(f):process.stdout.write(`${$e(f).join(`
`)}
`),0}if(e.kind==="setup"){let f=await we(n,W);return m.end(),e.format==="json"?b(be(f)):process.stdout.write(`${ke(f).join(`
`)}
`),f.troubles.length>0?1:0}let{job:S}=n;let{compose:_e}=await import("./compose-KIPQD2IX.js");let C=We(n.trust);let xe=E(p,await _e({...n,code:O(C),environment:t,workspace:ve(process.cwd(),n.workingDirectory),folder:a,needs:"store and checkout",platform:process.platform,log:m.log,signal:s,...T[S.mode].has("substitute")?{rootsFolder:c}:{},buildsToEvaluate:O(C)==="ours"&&T[S.mode].has("substitute")?"allowed":"forbidden"}),!0);let j=await J(S,C,xe.world,s);m.end();e.format==="json"?b(ee(j)):Ye(j,process.stdout);return te(j).some(({level:f})=>f==="error")?1:0}catch(l){var H=l,x=!0}finally{var U=z(p,H,x);U&&await U}}catch(m){return F(m,e.format),1}finally{await Ee(c,{recursive:!0,force:!0}),process.off("SIGINT",o),process.off("SIGTERM",o),await Ee(a,{recursive:!0,force:!0})}}i(Ge,"work");async function Fe(e,{job:n},t){try{let{openProject:r}=await import("./compose-KIPQD2IX.js"),{files:o,addresses:s}=r(t,process.cwd()),a={checks:X(await o.look([],He),s),sizes:void 0},c=B(n,a);return e==="json"?b({audit:a,findings:c}):process.stdout.write(`${Q(a).slice(1).join(`
`)}
`),c.some(({level:p})=>p==="error")?1:0}catch(r){return F(r,e),1}}i(Fe,"auditFiles");var He=new AbortController().signal;async function Ue(e,n){if(n==="usual"&&ae(process.stderr,e)){let{display:t}=await import("./display-ENR5HU33.js");return t(process.stderr,e)}return{log:de(t=>process.stderr.write(`${t}
`),n),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(Ue,"openLog");function We(e){return e==="read-only"?{kind:"read-only",code:"strange",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(We,"commandLineTrust");function F(e,n){let t=Y(e)??e,r=t instanceof u,o=r?t.code:"NCP-649",s=r?k(t):`a fault of nix-cache-preflight: ${t instanceof Error?t.stack??t.message:String(t)}`,a=r?t.hint:"please report it, with this text and the command";n==="json"&&b({error:{code:o,message:s,hint:a??null}});let c=`error ${o}: ${s}
${a?`  \u2192 ${a}
`:""}`;process.stderr.write(N(c))}i(F,"tell");function b(e){process.stdout.write(N(`${JSON.stringify(e,null,2)}
`))}i(b,"print");var ze=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Ye(e,n){let t=le(n),r=i((a,c)=>{let p=n.isTTY?pe(a,ce(n)):a;n.write(`${c===void 0?p:t(c,p)}
`)},"print"),[o="",...s]=ne(e);r(o,"bold");for(let a of[...s,...oe(e)])r(a,ze.find(([c])=>c.test(a))?.[1]);r(Z(e))}i(Ye,"showRun");var Ve=80;function Xe(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
             (setup --remove takes all of that back)
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${Be(y.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
  --files-only (audit: the project's files alone; nothing is evaluated or asked)
Secrets: ${Object.values(D).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Xe,"helpText");function Be(e){let n=[];for(let t of e){let r=n.at(-1);r!==void 0&&r.length+1+t.length<=Ve?n[n.length-1]=`${r} ${t}`:n.push(`  ${t}`)}return n.join(`
`)}i(Be,"wrapped");export{Xe as helpText,Gt as main};
