import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as K,d as q,e as Q,j as Z,k as ee}from"./chunk-QSGK2QMJ.js";import{a as H}from"./chunk-QP7CKROK.js";import"./chunk-WRW5M47M.js";import{B as Y,C as X,k as C,p as W,q as F,y as z}from"./chunk-27WU3PO3.js";import{a as h,b as G,s as O,t as V,v as J}from"./chunk-6GODV62L.js";import"./chunk-JRIOFZLR.js";import"./chunk-ZXYTGNXG.js";import{r as B}from"./chunk-6P3UPZMB.js";import{l as b,v as U}from"./chunk-N6RAOHF7.js";import{e as k}from"./chunk-3PKAT62M.js";import{a as d,b as $}from"./chunk-EEURBZNN.js";import{a as i,f as v,g as D}from"./chunk-QA55TPRG.js";import{mkdir as ke,mkdtemp as pe,readdir as be,rm as L}from"node:fs/promises";import{homedir as Ee,tmpdir as _e}from"node:os";import{join as y}from"node:path";import{parseArgs as ge}from"node:util";var g=["bash","zsh","fish"],l="nix-cache-preflight";function te(e,t){switch(e){case"bash":return me(t);case"zsh":return fe(t);case"fish":return he(t);default:return e}}i(te,"completionScript");var j=Object.entries(V).filter(([e])=>e!=="mode"),E=["json","help","version"],N="nix --extra-experimental-features 'nix-command flakes' build";function me({options:e,commands:t}){let o=j.map(([r,n])=>`    --${r}) words="${n.join(" ")}" ;;`);return`# bash completion for ${l}: eval "$(${l} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${o.join(`
`)}
    completion) words="${g.join(" ")}" ;;
    --*) case $prev in ${E.map(r=>`--${r}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...h,...t].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,...E].map(r=>`--${r}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${N} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${l}
`}i(me,"bash");function fe({options:e,commands:t}){let o=new Map(j.map(([n,s])=>[n,s.join(" ")])),r=e.map(n=>{let s=o.get(n);return`    '--${n}[input ${n}]:value:${s===void 0?"":`(${s})`}'`});return`#compdef ${l}
# zsh completion for ${l}: eval "$(${l} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${N} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
  compadd -- $found
}
_nix_cache_preflight_rest() {
  if [[ $words[2] == completion ]]; then compadd -- ${g.join(" ")}
  else _nix_cache_preflight_targets
  fi
}
_nix_cache_preflight() {
  _arguments -S \\
    '1:command:(${[...h,...t].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${E.map(n=>`'--${n}'`).join(" ")} \\
${r.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${l}
fi
`}i(fe,"zsh");function he({options:e,commands:t}){let o=new Map(j.map(([n,s])=>[n,s.join(" ")])),r=e.map(n=>{let s=o.get(n);return`complete -c ${l} -l ${n} -x${s===void 0?"":` -a "${s}"`}`});return`# fish completion for ${l}: ${l} completion fish | source
complete -c ${l} -f
complete -c ${l} -n __fish_use_subcommand -a "${[...h,...t].join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${N} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${E.map(n=>`complete -c ${l} -l ${n}`).join(`
`)}
${r.join(`
`)}
`}i(he,"fish");var I={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},we=new Set(["targets","mode","token","signing-key","install-nix"]),w=Object.keys(O).filter(e=>!we.has(e)),R=["setup","completion"],T=[...h,...R];function oe(e,t){let{values:o,positionals:r}=ye(e);if(o.help===!0)return{kind:"help",asked:"yes"};if(o.version===!0)return{kind:"version"};let[n,...s]=r;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!T.includes(n))throw new d("NCP-640",`"${n}" is not a command.${b(n,T)}`,{hint:`say one of ${T.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:$e(s)};let c=o.json===!0?"json":"text",p=o.remove===!0;if(p&&n!=="setup")throw new d("NCP-640",`${n}: --remove belongs to setup`,{hint:"write setup --remove: it takes back what setup added to your Nix configuration"});if(n==="setup"){if(s[0]!==void 0)throw new d("NCP-640",`setup: "${s[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});let S=ne(o,t);if(p&&(o.cache!==void 0||o.substituters!==void 0))throw new d("NCP-640","setup --remove takes back all that setup added",{hint:"leave --cache and --substituters out; setup adds again what is to stay"});return{kind:p?"take back":"setup",inputs:S,format:c}}return{kind:"run",inputs:{...ne(o,t),mode:n,targets:s.join(`
`)},format:c}}i(oe,"parseCommand");function ye(e){let t=Object.fromEntries(w.map(o=>[o,{type:"string"}]));try{return ge({args:[...e],allowPositionals:!0,options:{...t,json:{type:"boolean"},remove:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(o){let r=String(o).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(r)?.[1],s=[...w,"json","remove","help","version"],c=n===void 0?"":b(n,s),p=n===void 0?r:`there is no option --${n}.${c}`;throw new d("NCP-640",p,{hint:"--help lists all options"})}}i(ye,"parsed");function ne(e,t){let o=Object.fromEntries(w.flatMap(n=>{let s=e[n];return typeof s=="string"?[[n,s]]:[]}));if(o.cache?.trim()==="github")throw new d("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let r=Object.fromEntries(Object.entries(I).map(([n,s])=>[n,t[s]??""]));return{...O,cache:"none",...o,...r}}i(ne,"inputsOf");function $e([e="",...t]){let o=g.find(n=>n===e);if(o&&t.length===0)return o;let r=e===""?"completion: for which shell?":`completion: "${[e,...t].join(" ")}" is not a shell it knows.`;throw new d("NCP-640",`${r}${b(e,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i($e,"shellNamed");async function re(e,t){let{setUp:o}=await import("./compose-setup-NOHTK743.js");t.log.group("Set up");try{return await o({...e,...t,code:"ours",workspace:process.cwd(),platform:process.platform})}finally{t.log.endGroup()}}i(re,"setup");async function se(e){let{takeBackSetUp:t}=await import("./compose-setup-NOHTK743.js");return t({...e,workspace:process.cwd()})}i(se,"remove");function ie({file:e,removed:t}){let o=t.length===0?`nothing to take back: ${e} holds no line of ours`:`${k(t.length,"line")} taken out of ${e}`;return[...t.map(r=>`  removed ${r}`),o].map(C)}i(ie,"removeLines");function ae({file:e,caches:t,added:o,troubles:r}){let{substituters:n,publicKeys:s}=o,c=n.length+s.length>0,p=[...n.map(a=>`  substituter ${a}: added`),...s.map(a=>`  key ${a}: added`),...t.filter(({url:a})=>!n.includes(a)).map(({url:a})=>`  substituter ${a}: was there already`),...r.flatMap(a=>[`error ${a.code}: ${$(a)}`,...a.hint===void 0?[]:[`  \u2192 ${a.hint}`]])],f=c?`${k(n.length,"substituter")} and ${k(s.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...p,f].flatMap(a=>a.split(`
`)).map(C)}i(ae,"setupLines");function ce({file:e,caches:t,added:o,troubles:r}){return{file:e,caches:t,added:o,errors:r.map(n=>({code:n.code,message:$(n),hint:n.hint??null}))}}i(ce,"setupJson");async function ft(e){let t=U(),o,r;try{o=oe(e,t),r="inputs"in o?J(o.inputs):void 0}catch(n){return le(n,e.includes("--json")?"json":"text"),2}switch(o.kind){case"help":return process.stdout.write(Re()),o.asked==="yes"?0:2;case"version":return process.stdout.write(`${B}
`),0;case"completion":return process.stdout.write(te(o.shell,{options:w,commands:R})),0;case"setup":case"take back":case"run":return r?Se(o,r,t):2;default:return o}}i(ft,"main");async function Se(e,t,o){let r=new AbortController,n=i(u=>{r.signal.aborted&&process.exit(1),r.abort(new d("NCP-501",`interrupted by ${u}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:s}=r,c=await Ce(je(o));try{var p=[];try{let u=v(p,await xe(o));let P={environment:o,folder:c,log:u.log,signal:s};if(e.kind==="take back"){let m=await se(P);return u.end(),e.format==="json"?_(m):process.stdout.write(`${ie(m).join(`
`)}
`),0}if(e.kind==="setup"){let m=await re(t,P);return u.end(),e.format==="json"?_(ce(m)):process.stdout.write(`${ae(m).join(`
`)}
`),m.troubles.length>0?1:0}let{compose:de}=await import("./compose-GZPHCFBQ.js");let A=ve(t.trust);let ue=v(p,await de({...t,code:G(A),environment:o,workspace:process.cwd(),folder:c,platform:process.platform,log:u.log,signal:s}),!0);let x=await H(t.job,A,ue.world,s);u.end();e.format==="json"?_(W(x)):Te(x,process.stdout);return F(x).some(({level:m})=>m==="error")?1:0}catch(f){var a=f,S=!0}finally{var M=D(p,a,S);M&&await M}}catch(u){return le(u,e.format),1}finally{process.off("SIGINT",n),process.off("SIGTERM",n),await L(c,{recursive:!0,force:!0})}}i(Se,"work");async function xe(e){if(K(process.stderr,e)){let{display:t}=await import("./display-SH3CAZQD.js");return t(process.stderr,e)}return{log:ee(t=>process.stderr.write(`${t}
`)),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(xe,"openLog");function ve(e){return e==="read-only"?{kind:"read-only",code:"strange",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(ve,"commandLineTrust");async function Ce(e){try{await ke(e,{recursive:!0,mode:448});for(let t of await be(e)){let o=/^run-(\d+)-/.exec(t)?.[1];o!==void 0&&!Oe(Number(o))&&await L(y(e,t),{recursive:!0,force:!0})}return await L(y(e,"netrc"),{force:!0}),await pe(y(e,`run-${process.pid}-`))}catch{return pe(y(_e(),"nix-cache-preflight-"))}}i(Ce,"beginFolder");function Oe(e){try{return process.kill(e,0),!0}catch(t){return t.code==="EPERM"}}i(Oe,"isAlive");function je(e){let t=e.HOME??Ee();return y(e.XDG_STATE_HOME||y(t,".local","state"),"nix-cache-preflight")}i(je,"stateFolder");function le(e,t){let o=e instanceof d,r=o?e.code:"NCP-649",n=o?$(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,s=o?e.hint:"please report it, with this text and the command";t==="json"&&_({error:{code:r,message:n,hint:s??null}}),process.stderr.write(`error ${r}: ${n}
${s?`  \u2192 ${s}
`:""}`)}i(le,"tell");function _(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}i(_,"print");var Ne=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Te(e,t){let o=Q(t),r=i((c,p)=>{let f=t.isTTY?Z(c,q(t)):c;t.write(`${p===void 0?f:o(p,f)}
`)},"print"),[n="",...s]=Y(e);r(n,"bold");for(let c of[...s,...X(e)])r(c,Ne.find(([p])=>p.test(c))?.[1]);r(z(e))}i(Te,"showRun");var Ie=80;function Re(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

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
${Le(w.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
Secrets: ${Object.values(I).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Re,"helpText");function Le(e){let t=[];for(let o of e){let r=t.at(-1);r!==void 0&&r.length+1+o.length<=Ie?t[t.length-1]=`${r} ${o}`:t.push(`  ${o}`)}return t.join(`
`)}i(Le,"wrapped");export{Re as helpText,ft as main,Te as showRun};
