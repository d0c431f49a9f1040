/**
 * Owns Node's own client, for what is streamed and for what goes through a proxy: one pool a scheme,
 * opened by the first request, and Node's HTTP loaded by it.
 */

import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from "node:http";

/**
 * An `import` of node:http gives every one of its names a value, WebSocket among them, and so loads
 * a second HTTP stack: 25 ms of every start. This door does not.
 */
const modules = {
  "http:": () => process.getBuiltinModule("node:http"),
  "https:": () => process.getBuiltinModule("node:https"),
} as const;

type Scheme = keyof typeof modules;

export class Connections {
  private readonly options: object;
  private readonly agents = new Map<Scheme, Agent>();

  constructor(environment: Readonly<Record<string, string>>, most: number) {
    this.options = {
      keepAlive: true,
      maxSockets: most,
      maxFreeSockets: most,
      scheduling: "lifo",
      // Only where there is a proxy: Node takes its time to read them.
      ...(hasProxy(environment) ? { proxyEnv: environment } : {}),
    };
  }

  /** Begins a request; the scheme is the URL's. */
  begin(
    url: URL,
    options: Pick<RequestOptions, "method" | "headers">,
    answered: (response: IncomingMessage) => void,
  ): ClientRequest {
    const scheme: Scheme = url.protocol === "https:" ? "https:" : "http:";
    const module = modules[scheme]();
    let agent = this.agents.get(scheme);
    if (!agent) {
      agent = new module.Agent(this.options);
      this.agents.set(scheme, agent);
    }
    return module.request({ ...address(url), ...options, agent }, answered);
  }

  close(): void {
    for (const agent of this.agents.values()) agent.destroy();
  }
}

/** As Node would take it out of the URL, which it does anew, and slowly, for every request. */
function address({ hostname, port, pathname, search, username }: URL): RequestOptions {
  return {
    hostname: hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
    path: `${pathname}${search}`,
    ...(port === "" ? {} : { port: Number(port) }),
    ...(username === "" ? {} : { auth: `${decodeURIComponent(username)}:` }),
  };
}

export function hasProxy(environment: Readonly<Record<string, string>>): boolean {
  return Object.keys(environment).some((name) => /^(https?|all)_proxy$/i.test(name));
}
