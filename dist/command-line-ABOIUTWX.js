import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as H}from"./chunk-GQFR2Q53.js";import{b as G,c as D}from"./chunk-OIERV2U6.js";import{c as Z,d as ee,e as te,j as ne,k as oe}from"./chunk-KVCMVX2B.js";import{o as h,p as A,u as x,v as B,y as Q}from"./chunk-TFBCIZHZ.js";import{r as J}from"./chunk-NPGUXQ7P.js";import{C as z,D as Y,L as V,O as X,P as K,Q as q,b as P,y as W}from"./chunk-76ZLUQCG.js";import{l as E,s as U}from"./chunk-LXLD2U6Q.js";import{e as k}from"./chunk-FK6BUA2K.js";import{f as F}from"./chunk-4XLKRGS7.js";import"./chunk-DBTA4RWJ.js";import"./chunk-HDNWNV2A.js";import{a as d,c as $,f as M}from"./chunk-OBNGEJZ7.js";import{a as i,f as b,g as L}from"./chunk-QA55TPRG.js";import{homedir as _e}from"node:os";import{join as le}from"node:path";import{parseArgs as we}from"node:util";var g=["bash","zsh","fish"],p="nix-cache-preflight";function se(t,o){switch(t){case"bash":return he(o);case"zsh":return ge(o);case"fish":return ye(o);default:return t}}i(se,"completionScript");var v=Object.entries(B).filter(([t])=>t!=="mode"),y=["json","files-only","verbose","help","version"],C="nix --extra-experimental-features 'nix-command flakes' build";function he({options:t,commands:o}){let e=v.map(([s,n])=>`    --${s}) words="${n.join(" ")}" ;;`);return`# bash completion for ${p}: eval "$(${p} completion bash)"
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
    else words=$(NIX_GET_COMPLETIONS=6 ${C} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${p}
`}i(he,"bash");function ge({options:t,commands:o}){let e=new Map(v.map(([n,r])=>[n,r.join(" ")])),s=t.map(n=>{let r=e.get(n);return`    '--${n}[input ${n}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${p}
# zsh completion for ${p}: eval "$(${p} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${C} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
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
`}i(ge,"zsh");function ye({options:t,commands:o}){let e=new Map(v.map(([n,r])=>[n,r.join(" ")])),s=t.map(n=>{let r=e.get(n);return`complete -c ${p} -l ${n} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${p}: ${p} completion fish | source
complete -c ${p} -f
complete -c ${p} -n __fish_use_subcommand -a "${[...h,...o].join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${C} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${y.map(n=>`complete -c ${p} -l ${n}`).join(`
`)}
${s.join(`
`)}
`}i(ye,"fish");var N={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},$e=new Set(["targets","mode","token","signing-key","install-nix","nix-version","nix-sha256"]),w=Object.keys(x).filter(t=>!$e.has(t)),T=["setup","completion"],j=[...h,...T];function re(t,o){let{values:e,positionals:s}=be(t);if(e.help===!0)return{kind:"help",asked:"yes"};if(e.version===!0)return{kind:"version"};let[n,...r]=s;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!j.includes(n))throw new d("NCP-640",`"${n}" is not a command.${E(n,j)}`,{hint:`say one of ${j.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:Ee(r)};let a=e.json===!0?"json":"text",c=e.verbose===!0?"verbose":"usual";if(e["files-only"]===!0){if(n==="audit"&&r.length===0)return{kind:"files",inputs:O(e,o),format:a,log:c};throw new d("NCP-640","--files-only is for audit, without targets",{hint:"write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache"})}if(n==="setup"){if(r[0]!==void 0)throw new d("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:O(e,o),format:a,log:c}}return{kind:"run",inputs:{...O(e,o),mode:n,targets:r.join(`
`)},format:a,log:c}}i(re,"parseCommand");function be(t){let o=Object.fromEntries(w.map(e=>[e,{type:"string"}]));try{return we({args:[...t],allowPositionals:!0,options:{...o,json:{type:"boolean"},"files-only":{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(e){let s=String(e).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...w,...y],a=n===void 0?"":E(n,r),c=n===void 0?s:`there is no option --${n}.${a}`;throw new d("NCP-640",c,{hint:"--help lists all options"})}}i(be,"parsed");function O(t,o){let e=Object.fromEntries(w.flatMap(n=>{let r=t[n];return typeof r=="string"?[[n,r]]:[]}));if(e.cache?.trim()==="github")throw new d("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(N).map(([n,r])=>[n,o[r]??""]));return{...x,cache:"none",...e,...s}}i(O,"inputsOf");function Ee([t="",...o]){let e=g.find(n=>n===t);if(e&&o.length===0)return e;let s=t===""?"completion: for which shell?":`completion: "${[t,...o].join(" ")}" is not a shell it knows.`;throw new d("NCP-640",`${s}${E(t,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(Ee,"shellNamed");async function ie(t,o){let{setUp:e}=await import("./compose-setup-3C4OWZ74.js");o.log.group("Set up");try{return await e({...t,...o,workspace:process.cwd(),platform:process.platform})}finally{o.log.endGroup()}}i(ie,"setup");function ae({file:t,caches:o,added:e,troubles:s}){let{substituters:n,publicKeys:r}=e,a=n.length+r.length>0,c=[...n.map(l=>`  substituter ${l}: added`),...r.map(l=>`  key ${l}: added`),...o.filter(({url:l})=>!n.includes(l)).map(({url:l})=>`  substituter ${l}: was there already`),...s.flatMap(l=>[`error ${l.code}: ${$(l)}`,...l.hint===void 0?[]:[`  \u2192 ${l.hint}`]])],u=a?`${k(n.length,"substituter")} and ${k(r.length,"key")} added to ${t}`:`nothing to add: ${t} is as it should be`;return[...c,u].flatMap(l=>l.split(`
`)).map(W)}i(ae,"setupLines");function ce({file:t,caches:o,added:e,troubles:s}){return{file:t,caches:o,added:e,errors:s.map(n=>({code:n.code,message:$(n),hint:n.hint??null}))}}i(ce,"setupJson");async function yt(t){let o=U(),e,s;try{e=re(t,o),s="inputs"in e?Q(e.inputs):void 0}catch(n){return R(n,t.includes("--json")?"json":"text"),2}switch(e.kind){case"help":return process.stdout.write(Re()),e.asked==="yes"?0:2;case"version":return process.stdout.write(`${J}
`),0;case"completion":return process.stdout.write(se(e.shell,{options:w,commands:T})),0;case"files":return s?ke(e.format,s,o):2;case"setup":case"run":return s?Se(e,s,o):2;default:return e}}i(yt,"main");async function Se(t,o,e){let s=new AbortController,n=i(f=>{s.signal.aborted&&process.exit(1),s.abort(new d("NCP-501",`interrupted by ${f}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:r}=s,a=je(e);try{var c=[];try{let f=b(c,await ve(e,t.log));let Le=b(c,t.log==="verbose"?F(m=>f.log.debug(m),A(o.secrets)):void 0);let de={environment:e,folder:a,log:f.log,signal:r};if(t.kind==="setup"){let m=await ie(o,de);return f.end(),t.format==="json"?_(ce(m)):process.stdout.write(`${ae(m).join(`
`)}
`),m.troubles.length>0?1:0}let{job:ue}=o;let{compose:fe}=await import("./compose-4FOCBKJK.js");let me=b(c,await fe({...o,environment:e,workspace:process.cwd(),folder:a,needs:"store and checkout",platform:process.platform,log:f.log,signal:r,buildsToEvaluate:P[ue.mode].has("substitute")?"allowed":"forbidden"}),!0);let S=await H(o.job,Ce(o.trust),me.world,r);f.end();t.format==="json"?_(z(S)):Ne(S,process.stdout);return Y(S).some(({level:m})=>m==="error")?1:0}catch(u){var l=u,pe=!0}finally{var I=L(c,l,pe);I&&await I}}catch(f){return R(f,t.format),1}finally{process.off("SIGINT",n),process.off("SIGTERM",n)}}i(Se,"work");async function ke(t,{job:o},e){try{let{openProject:s}=await import("./compose-4FOCBKJK.js"),{files:n,addresses:r}=s(e,process.cwd()),a={checks:G(await n.look([],xe),r),sizes:void 0},c=D(o,a);return t==="json"?_({audit:a,findings:c}):process.stdout.write(`${X(a).slice(1).join(`
`)}
`),c.some(({level:u})=>u==="error")?1:0}catch(s){return R(s,t),1}}i(ke,"auditFiles");var xe=new AbortController().signal;async function ve(t,o){if(o==="usual"&&Z(process.stderr,t)){let{display:e}=await import("./display-VJT56UEY.js");return e(process.stderr,t)}return{log:oe(e=>process.stderr.write(`${e}
`),o),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(ve,"openLog");function Ce(t){return t==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(Ce,"commandLineTrust");function je(t){let o=t.HOME??_e();return le(t.XDG_STATE_HOME||le(o,".local","state"),"nix-cache-preflight")}i(je,"stateFolder");function R(t,o){let e=M(t)??t,s=e instanceof d,n=s?e.code:"NCP-649",r=s?$(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,a=s?e.hint:"please report it, with this text and the command";o==="json"&&_({error:{code:n,message:r,hint:a??null}}),process.stderr.write(`error ${n}: ${r}
${a?`  \u2192 ${a}
`:""}`)}i(R,"tell");function _(t){process.stdout.write(`${JSON.stringify(t,null,2)}
`)}i(_,"print");var Oe=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Ne(t,o){let e=te(o),s=i((a,c)=>{let u=o.isTTY?ne(a,ee(o)):a;o.write(`${c===void 0?u:e(c,u)}
`)},"print"),[n="",...r]=K(t);s(n,"bold");for(let a of[...r,...q(t)])s(a,Oe.find(([c])=>c.test(a))?.[1]);s(V(t))}i(Ne,"showRun");var Te=80;function Re(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${Ie(w.map(t=>`--${t}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
  --files-only (audit: the project's files alone; nothing is evaluated or asked)
Secrets: ${Object.values(N).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Re,"helpText");function Ie(t){let o=[];for(let e of t){let s=o.at(-1);s!==void 0&&s.length+1+e.length<=Te?o[o.length-1]=`${s} ${e}`:o.push(`  ${e}`)}return o.join(`
`)}i(Ie,"wrapped");export{Re as helpText,yt as main,Ne as showRun};
