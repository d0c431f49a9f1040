import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as q,d as Q,e as Z,j as ee,k as te}from"./chunk-BHKBI4ET.js";import{a as U}from"./chunk-RYQSTV5L.js";import{g as O,l as F,m as z,u as Y,x as X,y as B}from"./chunk-6WW6E4NE.js";import{D as j,E as J,G as K,a as h,b as H}from"./chunk-EPBGS44W.js";import"./chunk-YHDAXJPX.js";import"./chunk-ZXYTGNXG.js";import{r as V}from"./chunk-43EA56G4.js";import{l as W}from"./chunk-57QWGGGR.js";import{B as b,C,e as k}from"./chunk-EOWM4DDY.js";import{a as d,b as $}from"./chunk-EEURBZNN.js";import{a as i,f as v,g as G}from"./chunk-QA55TPRG.js";import{mkdir as be,mkdtemp as le,readdir as Ee,rm as M}from"node:fs/promises";import{homedir as _e,tmpdir as Se}from"node:os";import{join as y}from"node:path";import{parseArgs as we}from"node:util";var g=["bash","zsh","fish"],l="nix-cache-preflight";function ne(e,t){switch(e){case"bash":return fe(t);case"zsh":return he(t);case"fish":return ge(t);default:return e}}i(ne,"completionScript");var N=Object.entries(J).filter(([e])=>e!=="mode"),E=["json","help","version"],T="nix --extra-experimental-features 'nix-command flakes' build";function fe({options:e,commands:t}){let o=N.map(([r,n])=>`    --${r}) words="${n.join(" ")}" ;;`);return`# bash completion for ${l}: eval "$(${l} completion bash)"
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
    else words=$(NIX_GET_COMPLETIONS=6 ${T} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${l}
`}i(fe,"bash");function he({options:e,commands:t}){let o=new Map(N.map(([n,s])=>[n,s.join(" ")])),r=e.map(n=>{let s=o.get(n);return`    '--${n}[input ${n}]:value:${s===void 0?"":`(${s})`}'`});return`#compdef ${l}
# zsh completion for ${l}: eval "$(${l} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${T} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
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
`}i(he,"zsh");function ge({options:e,commands:t}){let o=new Map(N.map(([n,s])=>[n,s.join(" ")])),r=e.map(n=>{let s=o.get(n);return`complete -c ${l} -l ${n} -x${s===void 0?"":` -a "${s}"`}`});return`# fish completion for ${l}: ${l} completion fish | source
complete -c ${l} -f
complete -c ${l} -n __fish_use_subcommand -a "${[...h,...t].join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${T} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${E.map(n=>`complete -c ${l} -l ${n}`).join(`
`)}
${r.join(`
`)}
`}i(ge,"fish");var R={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},ye=new Set(["targets","mode","token","signing-key","install-nix"]),w=Object.keys(j).filter(e=>!ye.has(e)),L=["setup","completion"],I=[...h,...L];function re(e,t){let{values:o,positionals:r}=$e(e);if(o.help===!0)return{kind:"help",asked:"yes"};if(o.version===!0)return{kind:"version"};let[n,...s]=r;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!I.includes(n))throw new d("NCP-640",`"${n}" is not a command.${b(n,I)}`,{hint:`say one of ${I.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:ke(s)};let a=o.json===!0?"json":"text",p=o.remove===!0;if(p&&n!=="setup")throw new d("NCP-640",`${n}: --remove belongs to setup`,{hint:"write setup --remove: it takes back what setup added to your Nix configuration"});if(n==="setup"){if(s[0]!==void 0)throw new d("NCP-640",`setup: "${s[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});let S=oe(o,t);if(p&&(o.cache!==void 0||o.substituters!==void 0))throw new d("NCP-640","setup --remove takes back all that setup added",{hint:"leave --cache and --substituters out; setup adds again what is to stay"});return{kind:p?"take back":"setup",inputs:S,format:a}}return{kind:"run",inputs:{...oe(o,t),mode:n,targets:s.join(`
`)},format:a}}i(re,"parseCommand");function $e(e){let t=Object.fromEntries(w.map(o=>[o,{type:"string"}]));try{return we({args:[...e],allowPositionals:!0,options:{...t,json:{type:"boolean"},remove:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(o){let r=String(o).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(r)?.[1],s=[...w,"json","remove","help","version"],a=n===void 0?"":b(n,s),p=n===void 0?r:`there is no option --${n}.${a}`;throw new d("NCP-640",p,{hint:"--help lists all options"})}}i($e,"parsed");function oe(e,t){let o=Object.fromEntries(w.flatMap(n=>{let s=e[n];return typeof s=="string"?[[n,s]]:[]}));if(o.cache?.trim()==="github")throw new d("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let r=Object.fromEntries(Object.entries(R).map(([n,s])=>[n,t[s]??""]));return{...j,cache:"none",...o,...r}}i(oe,"inputsOf");function ke([e="",...t]){let o=g.find(n=>n===e);if(o&&t.length===0)return o;let r=e===""?"completion: for which shell?":`completion: "${[e,...t].join(" ")}" is not a shell it knows.`;throw new d("NCP-640",`${r}${b(e,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(ke,"shellNamed");async function se(e,t){let{setUp:o}=await import("./compose-setup-O2DXRKS7.js");t.log.group("Set up");try{return await o({...e,...t,code:"ours",workspace:process.cwd(),platform:process.platform})}finally{t.log.endGroup()}}i(se,"setup");async function ie(e){let{takeBackSetUp:t}=await import("./compose-setup-O2DXRKS7.js");return t({...e,workspace:process.cwd()})}i(ie,"remove");function ae({file:e,removed:t}){let o=t.length===0?`nothing to take back: ${e} holds no line of ours`:`${k(t.length,"line")} taken out of ${e}`;return[...t.map(r=>`  removed ${r}`),o].map(O)}i(ae,"removeLines");function ce({file:e,caches:t,added:o,troubles:r}){let{substituters:n,publicKeys:s}=o,a=n.length+s.length>0,p=[...n.map(c=>`  substituter ${c}: added`),...s.map(c=>`  key ${c}: added`),...t.filter(({url:c})=>!n.includes(c)).map(({url:c})=>`  substituter ${c}: was there already`),...r.flatMap(c=>[`error ${c.code}: ${$(c)}`,...c.hint===void 0?[]:[`  \u2192 ${c.hint}`]])],f=a?`${k(n.length,"substituter")} and ${k(s.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...p,f].flatMap(c=>c.split(`
`)).map(O)}i(ce,"setupLines");function pe({file:e,caches:t,added:o,troubles:r}){return{file:e,caches:t,added:o,errors:r.map(n=>({code:n.code,message:$(n),hint:n.hint??null}))}}i(pe,"setupJson");async function gt(e){let t=W(),o,r;try{o=re(e,t),r="inputs"in o?K(o.inputs):void 0}catch(n){return de(n,e.includes("--json")?"json":"text"),2}switch(o.kind){case"help":return process.stdout.write(Le()),o.asked==="yes"?0:2;case"version":return process.stdout.write(`${V}
`),0;case"completion":return process.stdout.write(ne(o.shell,{options:w,commands:L})),0;case"setup":case"take back":case"run":return r?xe(o,r,t):2;default:return o}}i(gt,"main");async function xe(e,t,o){let r=new AbortController,n=i(u=>{r.signal.aborted&&process.exit(1),r.abort(new d("NCP-501",`interrupted by ${u}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:s}=r,a=await Oe(Ne(o));try{var p=[];try{let u=v(p,await ve(o));let A={environment:o,folder:a,log:u.log,signal:s};if(e.kind==="take back"){let m=await ie(A);return u.end(),e.format==="json"?_(m):process.stdout.write(`${ae(m).join(`
`)}
`),0}if(e.kind==="setup"){let m=await se(t,A);return u.end(),e.format==="json"?_(pe(m)):process.stdout.write(`${ce(m).join(`
`)}
`),m.troubles.length>0?1:0}let{compose:ue}=await import("./compose-EUZK5V2N.js");let D=Ce(t.trust);let me=v(p,await ue({...t,code:H(D),environment:o,workspace:process.cwd(),folder:a,platform:process.platform,log:u.log,signal:s}),!0);let x=await U(t.job,D,me.world,s);u.end();e.format==="json"?_(F(x)):Ie(x,process.stdout);return z(x).some(({level:m})=>m==="error")?1:0}catch(f){var c=f,S=!0}finally{var P=G(p,c,S);P&&await P}}catch(u){return de(u,e.format),1}finally{process.off("SIGINT",n),process.off("SIGTERM",n),await M(a,{recursive:!0,force:!0})}}i(xe,"work");async function ve(e){if(q(process.stderr,e)){let{display:t}=await import("./display-NCFBPUKZ.js");return t(process.stderr,e)}return{log:te(t=>process.stderr.write(`${t}
`)),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(ve,"openLog");function Ce(e){return e==="read-only"?{kind:"read-only",code:"strange",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(Ce,"commandLineTrust");async function Oe(e){try{await be(e,{recursive:!0,mode:448});for(let t of await Ee(e)){let o=/^run-(\d+)-/.exec(t)?.[1];o!==void 0&&!je(Number(o))&&await M(y(e,t),{recursive:!0,force:!0})}return await M(y(e,"netrc"),{force:!0}),await le(y(e,`run-${process.pid}-`))}catch{return le(y(Se(),"nix-cache-preflight-"))}}i(Oe,"beginFolder");function je(e){try{return process.kill(e,0),!0}catch(t){return t.code==="EPERM"}}i(je,"isAlive");function Ne(e){let t=e.HOME??_e();return y(e.XDG_STATE_HOME||y(t,".local","state"),"nix-cache-preflight")}i(Ne,"stateFolder");function de(e,t){let o=e instanceof d,r=o?e.code:"NCP-649",n=o?$(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,s=o?e.hint:"please report it, with this text and the command";t==="json"&&_({error:{code:r,message:n,hint:s??null}});let a=`error ${r}: ${n}
${s?`  \u2192 ${s}
`:""}`;process.stderr.write(C(a))}i(de,"tell");function _(e){process.stdout.write(C(`${JSON.stringify(e,null,2)}
`))}i(_,"print");var Te=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Ie(e,t){let o=Z(t),r=i((a,p)=>{let f=t.isTTY?ee(a,Q(t)):a;t.write(`${p===void 0?f:o(p,f)}
`)},"print"),[n="",...s]=X(e);r(n,"bold");for(let a of[...s,...B(e)])r(a,Te.find(([p])=>p.test(a))?.[1]);r(Y(e))}i(Ie,"showRun");var Re=80;function Le(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

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
${Me(w.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
Secrets: ${Object.values(R).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Le,"helpText");function Me(e){let t=[];for(let o of e){let r=t.at(-1);r!==void 0&&r.length+1+o.length<=Re?t[t.length-1]=`${r} ${o}`:t.push(`  ${o}`)}return t.join(`
`)}i(Me,"wrapped");export{Le as helpText,gt as main,Ie as showRun};
