import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as U}from"./chunk-ECPHW7NK.js";import{b as F,c as H}from"./chunk-STCQTGEP.js";import{c as te,d as ne,e as oe,j as se,k as re}from"./chunk-IIE33STB.js";import{A as ee,q as h,r as G,w as C,x as Z}from"./chunk-TVHR3QEV.js";import{r as Q}from"./chunk-6SKI44EX.js";import{D as V,E as X,M as K,P as J,Q as q,R as B,b as v,z as Y}from"./chunk-MVF4XE7J.js";import{m as E,t as z}from"./chunk-MOJIFJJQ.js";import{e as x}from"./chunk-4GTE4KBE.js";import{f as W}from"./chunk-4ZFSIGV4.js";import"./chunk-4M77V4LJ.js";import"./chunk-4TCLPVYL.js";import{a as u,c as $,f as D}from"./chunk-5V5J4OK2.js";import{a as i,f as b,g as A}from"./chunk-QA55TPRG.js";import{rm as Se}from"node:fs/promises";import{homedir as ke}from"node:os";import{join as _}from"node:path";import{parseArgs as $e}from"node:util";var g=["bash","zsh","fish"],p="nix-cache-preflight";function ie(t,o){switch(t){case"bash":return ge(o);case"zsh":return ye(o);case"fish":return we(o);default:return t}}i(ie,"completionScript");var j=Object.entries(Z).filter(([t])=>t!=="mode"),y=["json","files-only","verbose","help","version"],O="nix --extra-experimental-features 'nix-command flakes' build";function ge({options:t,commands:o}){let e=j.map(([s,n])=>`    --${s}) words="${n.join(" ")}" ;;`);return`# bash completion for ${p}: eval "$(${p} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${e.join(`
`)}
    completion) words="${g.join(" ")}" ;;
    --*) case $prev in ${y.map(s=>`--${s}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...h,...o].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...t,...y].map(s=>`--${s}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${O} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${p}
`}i(ge,"bash");function ye({options:t,commands:o}){let e=new Map(j.map(([n,r])=>[n,r.join(" ")])),s=t.map(n=>{let r=e.get(n);return`    '--${n}[input ${n}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${p}
# zsh completion for ${p}: eval "$(${p} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${O} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
  compadd -- $found
}
_nix_cache_preflight_rest() {
  if [[ $words[2] == completion ]]; then compadd -- ${g.join(" ")}
  else _nix_cache_preflight_targets
  fi
}
_nix_cache_preflight() {
  _arguments -S \\
    '1:command:(${[...h,...o].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${y.map(n=>`'--${n}'`).join(" ")} \\
${s.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${p}
fi
`}i(ye,"zsh");function we({options:t,commands:o}){let e=new Map(j.map(([n,r])=>[n,r.join(" ")])),s=t.map(n=>{let r=e.get(n);return`complete -c ${p} -l ${n} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${p}: ${p} completion fish | source
complete -c ${p} -f
complete -c ${p} -n __fish_use_subcommand -a "${[...h,...o].join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${O} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${y.map(n=>`complete -c ${p} -l ${n}`).join(`
`)}
${s.join(`
`)}
`}i(we,"fish");var R={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},be=new Set(["targets","mode","token","signing-key","install-nix","nix-version","nix-sha256"]),w=Object.keys(C).filter(t=>!be.has(t)),I=["setup","completion"],N=[...h,...I];function ae(t,o){let{values:e,positionals:s}=Ee(t);if(e.help===!0)return{kind:"help",asked:"yes"};if(e.version===!0)return{kind:"version"};let[n,...r]=s;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!N.includes(n))throw new u("NCP-640",`"${n}" is not a command.${E(n,N)}`,{hint:`say one of ${N.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:_e(r)};let a=e.json===!0?"json":"text",c=e.verbose===!0?"verbose":"usual";if(e["files-only"]===!0){if(n==="audit"&&r.length===0)return{kind:"files",inputs:T(e,o),format:a,log:c};throw new u("NCP-640","--files-only is for audit, without targets",{hint:"write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache"})}if(n==="setup"){if(r[0]!==void 0)throw new u("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:T(e,o),format:a,log:c}}return{kind:"run",inputs:{...T(e,o),mode:n,targets:r.join(`
`)},format:a,log:c}}i(ae,"parseCommand");function Ee(t){let o=Object.fromEntries(w.map(e=>[e,{type:"string"}]));try{return $e({args:[...t],allowPositionals:!0,options:{...o,json:{type:"boolean"},"files-only":{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(e){let s=String(e).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...w,...y],a=n===void 0?"":E(n,r),c=n===void 0?s:`there is no option --${n}.${a}`;throw new u("NCP-640",c,{hint:"--help lists all options"})}}i(Ee,"parsed");function T(t,o){let e=Object.fromEntries(w.flatMap(n=>{let r=t[n];return typeof r=="string"?[[n,r]]:[]}));if(e.cache?.trim()==="github")throw new u("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(R).map(([n,r])=>[n,o[r]??""]));return{...C,cache:"none",...e,...s}}i(T,"inputsOf");function _e([t="",...o]){let e=g.find(n=>n===t);if(e&&o.length===0)return e;let s=t===""?"completion: for which shell?":`completion: "${[t,...o].join(" ")}" is not a shell it knows.`;throw new u("NCP-640",`${s}${E(t,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(_e,"shellNamed");async function ce(t,o){let{setUp:e}=await import("./compose-setup-IDSLJZK2.js");o.log.group("Set up");try{return await e({...t,...o,workspace:process.cwd(),platform:process.platform})}finally{o.log.endGroup()}}i(ce,"setup");function le({file:t,caches:o,added:e,troubles:s}){let{substituters:n,publicKeys:r}=e,a=n.length+r.length>0,c=[...n.map(l=>`  substituter ${l}: added`),...r.map(l=>`  key ${l}: added`),...o.filter(({url:l})=>!n.includes(l)).map(({url:l})=>`  substituter ${l}: was there already`),...s.flatMap(l=>[`error ${l.code}: ${$(l)}`,...l.hint===void 0?[]:[`  \u2192 ${l.hint}`]])],d=a?`${x(n.length,"substituter")} and ${x(r.length,"key")} added to ${t}`:`nothing to add: ${t} is as it should be`;return[...c,d].flatMap(l=>l.split(`
`)).map(Y)}i(le,"setupLines");function pe({file:t,caches:o,added:e,troubles:s}){return{file:t,caches:o,added:e,errors:s.map(n=>({code:n.code,message:$(n),hint:n.hint??null}))}}i(pe,"setupJson");async function bt(t){let o=z(),e,s;try{e=ae(t,o),s="inputs"in e?ee(e.inputs):void 0}catch(n){return L(n,t.includes("--json")?"json":"text"),2}switch(e.kind){case"help":return process.stdout.write(Le()),e.asked==="yes"?0:2;case"version":return process.stdout.write(`${Q}
`),0;case"completion":return process.stdout.write(ie(e.shell,{options:w,commands:I})),0;case"files":return s?ve(e.format,s,o):2;case"setup":case"run":return s?xe(e,s,o):2;default:return e}}i(bt,"main");async function xe(t,o,e){let s=new AbortController,n=i(f=>{s.signal.aborted&&process.exit(1),s.abort(new u("NCP-501",`interrupted by ${f}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:r}=s,a=Ne(e),c=_(a,`roots-${process.pid}`);try{var d=[];try{let f=b(d,await je(e,t.log));let Pe=b(d,t.log==="verbose"?W(m=>f.log.debug(m),G(o.secrets)):void 0);let fe={environment:e,folder:a,log:f.log,signal:r};if(t.kind==="setup"){let m=await ce(o,fe);return f.end(),t.format==="json"?S(pe(m)):process.stdout.write(`${le(m).join(`
`)}
`),m.troubles.length>0?1:0}let{job:P}=o;let{compose:me}=await import("./compose-DJAHQJJ6.js");let he=b(d,await me({...o,environment:e,workspace:_(process.cwd(),o.workingDirectory),folder:a,needs:"store and checkout",platform:process.platform,log:f.log,signal:r,...v[P.mode].has("substitute")?{rootsFolder:c}:{},buildsToEvaluate:v[P.mode].has("substitute")?"allowed":"forbidden"}),!0);let k=await U(o.job,Oe(o.trust),he.world,r);f.end();t.format==="json"?S(V(k)):Re(k,process.stdout);return X(k).some(({level:m})=>m==="error")?1:0}catch(l){var de=l,ue=!0}finally{var M=A(d,de,ue);M&&await M}}catch(f){return L(f,t.format),1}finally{await Se(c,{recursive:!0,force:!0}),process.off("SIGINT",n),process.off("SIGTERM",n)}}i(xe,"work");async function ve(t,{job:o},e){try{let{openProject:s}=await import("./compose-DJAHQJJ6.js"),{files:n,addresses:r}=s(e,process.cwd()),a={checks:F(await n.look([],Ce),r),sizes:void 0},c=H(o,a);return t==="json"?S({audit:a,findings:c}):process.stdout.write(`${J(a).slice(1).join(`
`)}
`),c.some(({level:d})=>d==="error")?1:0}catch(s){return L(s,t),1}}i(ve,"auditFiles");var Ce=new AbortController().signal;async function je(t,o){if(o==="usual"&&te(process.stderr,t)){let{display:e}=await import("./display-X4DCKCD4.js");return e(process.stderr,t)}return{log:re(e=>process.stderr.write(`${e}
`),o),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(je,"openLog");function Oe(t){return t==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(Oe,"commandLineTrust");function Ne(t){let o=t.HOME??ke();return _(t.XDG_STATE_HOME||_(o,".local","state"),"nix-cache-preflight")}i(Ne,"stateFolder");function L(t,o){let e=D(t)??t,s=e instanceof u,n=s?e.code:"NCP-649",r=s?$(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,a=s?e.hint:"please report it, with this text and the command";o==="json"&&S({error:{code:n,message:r,hint:a??null}}),process.stderr.write(`error ${n}: ${r}
${a?`  \u2192 ${a}
`:""}`)}i(L,"tell");function S(t){process.stdout.write(`${JSON.stringify(t,null,2)}
`)}i(S,"print");var Te=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Re(t,o){let e=oe(o),s=i((a,c)=>{let d=o.isTTY?se(a,ne(o)):a;o.write(`${c===void 0?d:e(c,d)}
`)},"print"),[n="",...r]=q(t);s(n,"bold");for(let a of[...r,...B(t)])s(a,Te.find(([c])=>c.test(a))?.[1]);s(K(t))}i(Re,"showRun");var Ie=80;function Le(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${Me(w.map(t=>`--${t}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
  --files-only (audit: the project's files alone; nothing is evaluated or asked)
Secrets: ${Object.values(R).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Le,"helpText");function Me(t){let o=[];for(let e of t){let s=o.at(-1);s!==void 0&&s.length+1+e.length<=Ie?o[o.length-1]=`${s} ${e}`:o.push(`  ${e}`)}return o.join(`
`)}i(Me,"wrapped");export{Le as helpText,bt as main,Re as showRun};
