import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as l,e as I}from"./chunk-EOWM4DDY.js";import{a as o}from"./chunk-QA55TPRG.js";import{setFlagsFromString as T}from"node:v8";var c=new Set(`
  PATH HOME USER LOGNAME SHELL TMPDIR TMP TEMP TZ TERM NO_COLOR
  LANG LANGUAGE LC_ALL LC_CTYPE LC_COLLATE LC_MESSAGES LC_NUMERIC LC_TIME LC_MONETARY LC_PAPER LC_NAME
  LC_ADDRESS LC_TELEPHONE LC_MEASUREMENT LC_IDENTIFICATION LOCALE_ARCHIVE
  XDG_CACHE_HOME XDG_CONFIG_HOME XDG_CONFIG_DIRS XDG_DATA_HOME XDG_DATA_DIRS XDG_STATE_HOME XDG_RUNTIME_DIR
  SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE SSH_AUTH_SOCK SSH_ASKPASS
  HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY SOCKS_SERVER
  http_proxy https_proxy ftp_proxy all_proxy no_proxy
  NIX_CONFIG NIX_CONF_DIR NIX_USER_CONF_FILES NIX_CACHE_HOME NIX_CONFIG_HOME NIX_DATA_HOME NIX_STATE_HOME
  NIX_REMOTE NIX_DAEMON_SOCKET_PATH NIX_STORE NIX_STORE_DIR NIX_STATE_DIR NIX_LOG_DIR NIX_DATA_DIR
  NIX_LOCALSTATE_DIR NIX_BIN_DIR NIX_LIBEXEC_DIR NIX_IGNORE_SYMLINK_STORE NIX_PATH NIX_PROFILES NIX_SSHOPTS
  NIX_SSL_CERT_FILE NIX_BUILD_HOOK NIX_BUILD_CORES NIX_CURRENT_LOAD NIX_REMOTE_SYSTEMS NIX_OTHER_STORES
  NIX_CURL_FLAGS NIX_CONNECT_TIMEOUT NIX_HASHED_MIRRORS NIX_GIT_SSL_CAINFO NIX_NPM_REGISTRY NIX_CRATES_INDEX
  NIX_PYPI_INDEX
  __ETC_PROFILE_DONE __ETC_PROFILE_NIX_SOURCED
  GIT_SSH GIT_SSH_COMMAND GIT_SSH_VARIANT GIT_PROXY_COMMAND GIT_ASKPASS GIT_TERMINAL_PROMPT GIT_ALLOW_PROTOCOL
  GIT_PROTOCOL GIT_HTTP_LOW_SPEED_LIMIT GIT_HTTP_LOW_SPEED_TIME GIT_HTTP_PROXY_AUTHMETHOD GIT_HTTP_USER_AGENT
  GIT_SSL_CAINFO GIT_SSL_CAPATH GIT_SSL_CERT GIT_SSL_KEY GIT_SSL_NO_VERIFY GIT_SSL_VERSION GIT_SSL_CIPHER_LIST
  GIT_PROXY_SSL_CAINFO GIT_PROXY_SSL_CERT GIT_PROXY_SSL_KEY
  GIT_CONFIG GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_NOSYSTEM GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT
  GOPROXY GONOPROXY GOSUMDB GONOSUMDB GOPRIVATE GOINSECURE GOVCS GOFLAGS
  `.trim().split(/\s+/)),u=/^GIT_CONFIG_(KEY|VALUE)_\d{1,4}$/;function y(r,e={}){let n={};for(let[t,i]of Object.entries(r))(c.has(t)||u.test(t))&&(n[t]=i);return{...n,...e}}o(y,"childEnvironment");var f=/^(INPUT|STATE|ACTIONS)_/,N=/^(GITHUB|RUNNER)_/,O=/TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH|COOKIE|(^|_)(PASS|PAT|KEY|KEYS)($|_)|PRIVATE_?KEY|API_?KEY|SIGNING/i;function g(r,e){let{code:n,named:t,declared:i,hook:a}=e,s=new Set(i),_=Object.entries(r).filter(([d])=>f.test(d)?!1:n==="strange"?t.includes(d)&&!S(d):a==="here"||t.includes(d)?!0:s.has(d)&&!S(d)&&!N.test(d));return Object.fromEntries([..._,...n==="strange"?p(r):[]])}o(g,"buildEnvironment");function S(r){return O.test(r)}o(S,"isSecretName");function p(r){return Object.entries(y(r)).flatMap(([e,n])=>{if(e==="NIX_CONFIG"){let t=n.split(`
`).filter(i=>!/^\s*(extra-)?access-tokens\b/.test(i));return[[e,t.join(`
`)]]}return e==="GIT_CONFIG_COUNT"?[[e,"0"]]:u.test(e)||/^(GIT_CONFIG_PARAMETERS|(GIT|SSH)_ASKPASS)$/.test(e)?[[e,""]]:[]})}o(p,"withoutCredentials");function R(){let r={};for(let[e,n]of Object.entries(process.env))n!==void 0&&(r[e]=n);return r}o(R,"processEnvironment");function C(r){return r.RUNNER_ENVIRONMENT==="github-hosted"}o(C,"isHosted");function h(r,e){return r.token?"token":r.signingKey?"signing-key":e.ACTIONS_ID_TOKEN_REQUEST_TOKEN?"permission id-token: write":void 0}o(h,"secretOf");var P=/^(INPUT_(TOKEN|SIGNING-KEY)|ACTIONS_(RUNTIME|ID_TOKEN_REQUEST)_TOKEN)$/;function b(){let r=R();for(let e of Object.keys(r))P.test(e)&&delete process.env[e];return r}o(b,"takeEnvironment");function G(){T("--semi-space-growth-factor=1")}o(G,"keepGarbageSmall");function D({substituter:r}){return r.credentials!==void 0||r.environment!==void 0}o(D,"needsCredentials");function x(r,e){return r?.[e]!==void 0}o(x,"can");function H(r){let e=new Map;for(let t of r.slice(0,65536).split(`
`)){if(t.trim()==="")continue;let i=t.indexOf(":"),a=t.slice(0,Math.max(0,i));if(!/^[A-Za-z][A-Za-z-]*$/.test(a))return;e.set(a,t.slice(i+1).trim())}let n=e.get("Priority");if(!(n!==void 0&&!/^\d{1,9}$/.test(n)))return{storeDir:e.get("StoreDir"),priority:n===void 0?void 0:Number(n),wantMassQuery:e.get("WantMassQuery")==="1"}}o(H,"parseCacheInfo");function v(r,e){return`StoreDir: ${r}
WantMassQuery: 1
Priority: ${e}
`}o(v,"formatCacheInfo");var A=3e3;function w({troubles:r,slow:e,slowest:n}){let t=[],i=[...r.values()].reduce((a,s)=>a+s,0);if(i>0){let a=[...r].sort((s,_)=>_[1]-s[1]).map(([s,_])=>`${_} \xD7 ${s}`);t.push(`${I(i,"request")} had to be tried again (${a.join(", ")})`)}return e>0&&t.push(`${I(e,"answer")} took longer than ${l(A/1e3)}, the slowest ${l(n/1e3)}`),t.length>0?t.join("; "):void 0}o(w,"answerTroubleWords");async function K(r,e,n){let t=new Array(r.length),i=0,a=o(async()=>{for(;i<r.length;){let s=i++;t[s]=await n(r[s])}},"worker");return await Promise.all(Array.from({length:Math.min(e,r.length)},a)),t}o(K,"mapLimited");function k(r){let e=0,n=[],t=0;return async i=>{e>=r?await new Promise(a=>n.push(a)):e++;try{return await i()}finally{let a=n[t++];a?a():(e--,n=[],t=0)}}}o(k,"limiter");var E=class{static{o(this,"ByteBudget")}free;total;waiting=[];constructor(e){this.total=e,this.free=e}async take(e){this.tryTake(e)||await new Promise(n=>this.waiting.push({bytes:e,go:n}))}tryTake(e){let n=Math.min(e,this.total);return this.waiting.length>0||this.free<n?!1:(this.free-=n,!0)}give(e){this.free+=Math.min(e,this.total);for(let n=this.waiting[0];n!==void 0;n=this.waiting[0]){let t=Math.min(n.bytes,this.total);if(this.free<t)return;this.free-=t,this.waiting.shift(),n.go()}}};export{D as a,x as b,H as c,v as d,A as e,w as f,K as g,k as h,E as i,y as j,g as k,R as l,C as m,h as n,b as o,G as p};
