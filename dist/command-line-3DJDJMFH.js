import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as B,d as Q,e as Z,j as ee,k as te}from"./chunk-IKXAP35Z.js";import{a as A}from"./chunk-WQ525AUB.js";import{b as M,c as P}from"./chunk-KMYUIKMS.js";import{q as h,r as q,s as x,t as K,v as J}from"./chunk-X3PNEPKX.js";import{G as U,J as W,K as z,L as Y,t as D,x as H,y as F}from"./chunk-QAEGDP3W.js";import"./chunk-DBTA4RWJ.js";import{q as V}from"./chunk-4TMEQOMB.js";import{k as E,o as G,w as X}from"./chunk-EZY7EJLK.js";import{e as k}from"./chunk-3PKAT62M.js";import"./chunk-YTR2PFLF.js";import{a as d,b as $}from"./chunk-EEURBZNN.js";import{a as i,f as _,g as L}from"./chunk-QA55TPRG.js";import{homedir as $e}from"node:os";import{join as ae}from"node:path";import{parseArgs as he}from"node:util";var g=["bash","zsh","fish"],p="nix-cache-preflight";function ne(e,o){switch(e){case"bash":return ue(o);case"zsh":return fe(o);case"fish":return me(o);default:return e}}i(ne,"completionScript");var C=Object.entries(K).filter(([e])=>e!=="mode"),y=["json","files-only","verbose","help","version"],v="nix --extra-experimental-features 'nix-command flakes' build";function ue({options:e,commands:o}){let t=C.map(([s,n])=>`    --${s}) words="${n.join(" ")}" ;;`);return`# bash completion for ${p}: eval "$(${p} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${t.join(`
`)}
    completion) words="${g.join(" ")}" ;;
    --*) case $prev in ${y.map(s=>`--${s}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...h,...o].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,...y].map(s=>`--${s}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${v} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${p}
`}i(ue,"bash");function fe({options:e,commands:o}){let t=new Map(C.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=t.get(n);return`    '--${n}[input ${n}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${p}
# zsh completion for ${p}: eval "$(${p} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${v} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
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
`}i(fe,"zsh");function me({options:e,commands:o}){let t=new Map(C.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=t.get(n);return`complete -c ${p} -l ${n} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${p}: ${p} completion fish | source
complete -c ${p} -f
complete -c ${p} -n __fish_use_subcommand -a "${[...h,...o].join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${v} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${y.map(n=>`complete -c ${p} -l ${n}`).join(`
`)}
${s.join(`
`)}
`}i(me,"fish");var N={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},ge=new Set(["targets","mode","token","signing-key","install-nix"]),w=Object.keys(x).filter(e=>!ge.has(e)),T=["setup","completion"],O=[...h,...T];function oe(e,o){let{values:t,positionals:s}=ye(e);if(t.help===!0)return{kind:"help",asked:"yes"};if(t.version===!0)return{kind:"version"};let[n,...r]=s;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!O.includes(n))throw new d("NCP-640",`"${n}" is not a command.${E(n,O)}`,{hint:`say one of ${O.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:we(r)};let a=t.json===!0?"json":"text",c=t.verbose===!0?"verbose":"usual";if(t["files-only"]===!0){if(n==="audit"&&r.length===0)return{kind:"files",inputs:j(t,o),format:a,log:c};throw new d("NCP-640","--files-only is for audit, without targets",{hint:"write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache"})}if(n==="setup"){if(r[0]!==void 0)throw new d("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:j(t,o),format:a,log:c}}return{kind:"run",inputs:{...j(t,o),mode:n,targets:r.join(`
`)},format:a,log:c}}i(oe,"parseCommand");function ye(e){let o=Object.fromEntries(w.map(t=>[t,{type:"string"}]));try{return he({args:[...e],allowPositionals:!0,options:{...o,json:{type:"boolean"},"files-only":{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(t){let s=String(t).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...w,...y],a=n===void 0?"":E(n,r),c=n===void 0?s:`there is no option --${n}.${a}`;throw new d("NCP-640",c,{hint:"--help lists all options"})}}i(ye,"parsed");function j(e,o){let t=Object.fromEntries(w.flatMap(n=>{let r=e[n];return typeof r=="string"?[[n,r]]:[]}));if(t.cache?.trim()==="github")throw new d("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(N).map(([n,r])=>[n,o[r]??""]));return{...x,cache:"none",...t,...s}}i(j,"inputsOf");function we([e="",...o]){let t=g.find(n=>n===e);if(t&&o.length===0)return t;let s=e===""?"completion: for which shell?":`completion: "${[e,...o].join(" ")}" is not a shell it knows.`;throw new d("NCP-640",`${s}${E(e,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(we,"shellNamed");async function se(e,o){let{setUp:t}=await import("./compose-setup-PZ65L2WE.js");o.log.group("Set up");try{return await t({...e,...o,workspace:process.cwd(),platform:process.platform})}finally{o.log.endGroup()}}i(se,"setup");function re({file:e,caches:o,added:t,troubles:s}){let{substituters:n,publicKeys:r}=t,a=n.length+r.length>0,c=[...n.map(l=>`  substituter ${l}: added`),...r.map(l=>`  key ${l}: added`),...o.filter(({url:l})=>!n.includes(l)).map(({url:l})=>`  substituter ${l}: was there already`),...s.flatMap(l=>[`error ${l.code}: ${$(l)}`,...l.hint===void 0?[]:[`  \u2192 ${l.hint}`]])],u=a?`${k(n.length,"substituter")} and ${k(r.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...c,u].flatMap(l=>l.split(`
`)).map(D)}i(re,"setupLines");function ie({file:e,caches:o,added:t,troubles:s}){return{file:e,caches:o,added:t,errors:s.map(n=>({code:n.code,message:$(n),hint:n.hint??null}))}}i(ie,"setupJson");async function ft(e){let o=G(),t,s;try{t=oe(e,o),s="inputs"in t?J(t.inputs):void 0}catch(n){return R(n,e.includes("--json")?"json":"text"),2}switch(t.kind){case"help":return process.stdout.write(je()),t.asked==="yes"?0:2;case"version":return process.stdout.write(`${V}
`),0;case"completion":return process.stdout.write(ne(t.shell,{options:w,commands:T})),0;case"files":return s?Ee(t.format,s,o):2;case"setup":case"run":return s?_e(t,s,o):2;default:return t}}i(ft,"main");async function _e(e,o,t){let s=new AbortController,n=i(f=>{s.signal.aborted&&process.exit(1),s.abort(new d("NCP-501",`interrupted by ${f}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:r}=s,a=xe(t);try{var c=[];try{let f=_(c,await Se(t,e.log));let Te=_(c,e.log==="verbose"?X(m=>f.log.debug(m),q(o.secrets)):void 0);let le={environment:t,folder:a,log:f.log,signal:r};if(e.kind==="setup"){let m=await se(o,le);return f.end(),e.format==="json"?b(ie(m)):process.stdout.write(`${re(m).join(`
`)}
`),m.troubles.length>0?1:0}let{compose:pe}=await import("./compose-4Y5NQ44E.js");let de=_(c,await pe({...o,environment:t,workspace:process.cwd(),folder:a,platform:process.platform,log:f.log,signal:r}),!0);let S=await A(o.job,ke(o.trust),de.world,r);f.end();e.format==="json"?b(H(S)):ve(S,process.stdout);return F(S).some(({level:m})=>m==="error")?1:0}catch(u){var l=u,ce=!0}finally{var I=L(c,l,ce);I&&await I}}catch(f){return R(f,e.format),1}finally{process.off("SIGINT",n),process.off("SIGTERM",n)}}i(_e,"work");async function Ee(e,{job:o},t){try{let{openProject:s}=await import("./compose-4Y5NQ44E.js"),{files:n,addresses:r}=s(t,process.cwd()),a={checks:M(await n.look([],be),r),sizes:void 0},c=P(o,a);return e==="json"?b({audit:a,findings:c}):process.stdout.write(`${W(a).slice(1).join(`
`)}
`),c.some(({level:u})=>u==="error")?1:0}catch(s){return R(s,e),1}}i(Ee,"auditFiles");var be=new AbortController().signal;async function Se(e,o){if(o==="usual"&&B(process.stderr,e)){let{display:t}=await import("./display-IAH44AUW.js");return t(process.stderr,e)}return{log:te(t=>process.stderr.write(`${t}
`),o),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(Se,"openLog");function ke(e){return e==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(ke,"commandLineTrust");function xe(e){let o=e.HOME??$e();return ae(e.XDG_STATE_HOME||ae(o,".local","state"),"nix-cache-preflight")}i(xe,"stateFolder");function R(e,o){let t=e instanceof d,s=t?e.code:"NCP-649",n=t?$(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,r=t?e.hint:"please report it, with this text and the command";o==="json"&&b({error:{code:s,message:n,hint:r??null}}),process.stderr.write(`error ${s}: ${n}
${r?`  \u2192 ${r}
`:""}`)}i(R,"tell");function b(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}i(b,"print");var Ce=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function ve(e,o){let t=Z(o),s=i((a,c)=>{let u=o.isTTY?ee(a,Q(o)):a;o.write(`${c===void 0?u:t(c,u)}
`)},"print"),[n="",...r]=z(e);s(n,"bold");for(let a of[...r,...Y(e)])s(a,Ce.find(([c])=>c.test(a))?.[1]);s(U(e))}i(ve,"showRun");var Oe=80;function je(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${Ne(w.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
  --files-only (audit: the project's files alone; nothing is evaluated or asked)
Secrets: ${Object.values(N).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(je,"helpText");function Ne(e){let o=[];for(let t of e){let s=o.at(-1);s!==void 0&&s.length+1+t.length<=Oe?o[o.length-1]=`${s} ${t}`:o.push(`  ${t}`)}return o.join(`
`)}i(Ne,"wrapped");export{je as helpText,ft as main,ve as showRun};
