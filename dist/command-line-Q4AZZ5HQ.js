import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as F}from"./chunk-7CMC7IXA.js";import{b as D,c as G}from"./chunk-R3R2RXX5.js";import{c as ee,d as te,e as ne,j as oe,k as se}from"./chunk-QDQF4I7G.js";import{r as h,s as B,t as C,u as Q,w as Z}from"./chunk-2MBNP257.js";import{C as z,D as Y,L as V,O as X,P as K,Q as J,b as v,y as W}from"./chunk-YGQJNSMH.js";import"./chunk-4M77V4LJ.js";import{r as q}from"./chunk-WP4Q3GIC.js";import{l as E,s as U}from"./chunk-MLQ76SRD.js";import{e as x}from"./chunk-Z2XHIR4U.js";import{f as H}from"./chunk-GSYICBP3.js";import"./chunk-YTR2PFLF.js";import{a as u,c as $}from"./chunk-O7N72E4J.js";import{a as i,f as b,g as A}from"./chunk-QA55TPRG.js";import{rm as _e}from"node:fs/promises";import{homedir as Se}from"node:os";import{join as _}from"node:path";import{parseArgs as we}from"node:util";var g=["bash","zsh","fish"],p="nix-cache-preflight";function re(e,o){switch(e){case"bash":return he(o);case"zsh":return ge(o);case"fish":return ye(o);default:return e}}i(re,"completionScript");var j=Object.entries(Q).filter(([e])=>e!=="mode"),y=["json","files-only","verbose","help","version"],O="nix --extra-experimental-features 'nix-command flakes' build";function he({options:e,commands:o}){let t=j.map(([s,n])=>`    --${s}) words="${n.join(" ")}" ;;`);return`# bash completion for ${p}: eval "$(${p} completion bash)"
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
    else words=$(NIX_GET_COMPLETIONS=6 ${O} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${p}
`}i(he,"bash");function ge({options:e,commands:o}){let t=new Map(j.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=t.get(n);return`    '--${n}[input ${n}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${p}
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
`}i(ge,"zsh");function ye({options:e,commands:o}){let t=new Map(j.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=t.get(n);return`complete -c ${p} -l ${n} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${p}: ${p} completion fish | source
complete -c ${p} -f
complete -c ${p} -n __fish_use_subcommand -a "${[...h,...o].join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${O} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${y.map(n=>`complete -c ${p} -l ${n}`).join(`
`)}
${s.join(`
`)}
`}i(ye,"fish");var R={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},$e=new Set(["targets","mode","token","signing-key","install-nix"]),w=Object.keys(C).filter(e=>!$e.has(e)),I=["setup","completion"],N=[...h,...I];function ie(e,o){let{values:t,positionals:s}=be(e);if(t.help===!0)return{kind:"help",asked:"yes"};if(t.version===!0)return{kind:"version"};let[n,...r]=s;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!N.includes(n))throw new u("NCP-640",`"${n}" is not a command.${E(n,N)}`,{hint:`say one of ${N.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:Ee(r)};let a=t.json===!0?"json":"text",c=t.verbose===!0?"verbose":"usual";if(t["files-only"]===!0){if(n==="audit"&&r.length===0)return{kind:"files",inputs:T(t,o),format:a,log:c};throw new u("NCP-640","--files-only is for audit, without targets",{hint:"write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache"})}if(n==="setup"){if(r[0]!==void 0)throw new u("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:T(t,o),format:a,log:c}}return{kind:"run",inputs:{...T(t,o),mode:n,targets:r.join(`
`)},format:a,log:c}}i(ie,"parseCommand");function be(e){let o=Object.fromEntries(w.map(t=>[t,{type:"string"}]));try{return we({args:[...e],allowPositionals:!0,options:{...o,json:{type:"boolean"},"files-only":{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(t){let s=String(t).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...w,...y],a=n===void 0?"":E(n,r),c=n===void 0?s:`there is no option --${n}.${a}`;throw new u("NCP-640",c,{hint:"--help lists all options"})}}i(be,"parsed");function T(e,o){let t=Object.fromEntries(w.flatMap(n=>{let r=e[n];return typeof r=="string"?[[n,r]]:[]}));if(t.cache?.trim()==="github")throw new u("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(R).map(([n,r])=>[n,o[r]??""]));return{...C,cache:"none",...t,...s}}i(T,"inputsOf");function Ee([e="",...o]){let t=g.find(n=>n===e);if(t&&o.length===0)return t;let s=e===""?"completion: for which shell?":`completion: "${[e,...o].join(" ")}" is not a shell it knows.`;throw new u("NCP-640",`${s}${E(e,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(Ee,"shellNamed");async function ae(e,o){let{setUp:t}=await import("./compose-setup-NTJYPEPQ.js");o.log.group("Set up");try{return await t({...e,...o,workspace:process.cwd(),platform:process.platform})}finally{o.log.endGroup()}}i(ae,"setup");function ce({file:e,caches:o,added:t,troubles:s}){let{substituters:n,publicKeys:r}=t,a=n.length+r.length>0,c=[...n.map(l=>`  substituter ${l}: added`),...r.map(l=>`  key ${l}: added`),...o.filter(({url:l})=>!n.includes(l)).map(({url:l})=>`  substituter ${l}: was there already`),...s.flatMap(l=>[`error ${l.code}: ${$(l)}`,...l.hint===void 0?[]:[`  \u2192 ${l.hint}`]])],d=a?`${x(n.length,"substituter")} and ${x(r.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...c,d].flatMap(l=>l.split(`
`)).map(W)}i(ce,"setupLines");function le({file:e,caches:o,added:t,troubles:s}){return{file:e,caches:o,added:t,errors:s.map(n=>({code:n.code,message:$(n),hint:n.hint??null}))}}i(le,"setupJson");async function $t(e){let o=U(),t,s;try{t=ie(e,o),s="inputs"in t?Z(t.inputs):void 0}catch(n){return L(n,e.includes("--json")?"json":"text"),2}switch(t.kind){case"help":return process.stdout.write(Ie()),t.asked==="yes"?0:2;case"version":return process.stdout.write(`${q}
`),0;case"completion":return process.stdout.write(re(t.shell,{options:w,commands:I})),0;case"files":return s?xe(t.format,s,o):2;case"setup":case"run":return s?ke(t,s,o):2;default:return t}}i($t,"main");async function ke(e,o,t){let s=new AbortController,n=i(f=>{s.signal.aborted&&process.exit(1),s.abort(new u("NCP-501",`interrupted by ${f}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:r}=s,a=Oe(t),c=_(a,`roots-${process.pid}`);try{var d=[];try{let f=b(d,await Ce(t,e.log));let Me=b(d,e.log==="verbose"?H(m=>f.log.debug(m),B(o.secrets)):void 0);let ue={environment:t,folder:a,log:f.log,signal:r};if(e.kind==="setup"){let m=await ae(o,ue);return f.end(),e.format==="json"?S(le(m)):process.stdout.write(`${ce(m).join(`
`)}
`),m.troubles.length>0?1:0}let{job:P}=o;let{compose:fe}=await import("./compose-EN4VZM4Y.js");let me=b(d,await fe({...o,environment:t,workspace:_(process.cwd(),o.workingDirectory),folder:a,platform:process.platform,log:f.log,signal:r,...v[P.mode].has("substitute")?{rootsFolder:c}:{},buildsToEvaluate:v[P.mode].has("substitute")?"allowed":"forbidden"}),!0);let k=await F(o.job,je(o.trust),me.world,r);f.end();e.format==="json"?S(z(k)):Te(k,process.stdout);return Y(k).some(({level:m})=>m==="error")?1:0}catch(l){var pe=l,de=!0}finally{var M=A(d,pe,de);M&&await M}}catch(f){return L(f,e.format),1}finally{await _e(c,{recursive:!0,force:!0}),process.off("SIGINT",n),process.off("SIGTERM",n)}}i(ke,"work");async function xe(e,{job:o},t){try{let{openProject:s}=await import("./compose-EN4VZM4Y.js"),{files:n,addresses:r}=s(t,process.cwd()),a={checks:D(await n.look([],ve),r),sizes:void 0},c=G(o,a);return e==="json"?S({audit:a,findings:c}):process.stdout.write(`${X(a).slice(1).join(`
`)}
`),c.some(({level:d})=>d==="error")?1:0}catch(s){return L(s,e),1}}i(xe,"auditFiles");var ve=new AbortController().signal;async function Ce(e,o){if(o==="usual"&&ee(process.stderr,e)){let{display:t}=await import("./display-UEZTJG7F.js");return t(process.stderr,e)}return{log:se(t=>process.stderr.write(`${t}
`),o),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(Ce,"openLog");function je(e){return e==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(je,"commandLineTrust");function Oe(e){let o=e.HOME??Se();return _(e.XDG_STATE_HOME||_(o,".local","state"),"nix-cache-preflight")}i(Oe,"stateFolder");function L(e,o){let t=e instanceof u,s=t?e.code:"NCP-649",n=t?$(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,r=t?e.hint:"please report it, with this text and the command";o==="json"&&S({error:{code:s,message:n,hint:r??null}}),process.stderr.write(`error ${s}: ${n}
${r?`  \u2192 ${r}
`:""}`)}i(L,"tell");function S(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}i(S,"print");var Ne=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Te(e,o){let t=ne(o),s=i((a,c)=>{let d=o.isTTY?oe(a,te(o)):a;o.write(`${c===void 0?d:t(c,d)}
`)},"print"),[n="",...r]=K(e);s(n,"bold");for(let a of[...r,...J(e)])s(a,Ne.find(([c])=>c.test(a))?.[1]);s(V(e))}i(Te,"showRun");var Re=80;function Ie(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${Le(w.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
  --files-only (audit: the project's files alone; nothing is evaluated or asked)
Secrets: ${Object.values(R).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Ie,"helpText");function Le(e){let o=[];for(let t of e){let s=o.at(-1);s!==void 0&&s.length+1+t.length<=Re?o[o.length-1]=`${s} ${t}`:o.push(`  ${t}`)}return o.join(`
`)}i(Le,"wrapped");export{Ie as helpText,$t as main,Te as showRun};
