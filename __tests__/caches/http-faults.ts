/** Owns the fault suite of caches that are reached over HTTP: a proxy before their server, and dead ends. */

import type { BinaryCache } from "../../src/domain/cache.ts";
import { can } from "../../src/domain/cache.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { faultProxy, type ProxyOptions } from "../servers/fault-proxy.ts";
import type { Wire } from "../servers/http.ts";
import { nowhere } from "../servers/nowhere.ts";
import { loopbackCertificate } from "../support/certificate.ts";
import type { FaultSubject } from "./contract-faults.ts";
import { PATH } from "./contract-faults.ts";
import { narsOf } from "./made-up.ts";

export interface HttpFaults extends Pick<FaultSubject, "withoutInfo" | "clockMatters"> {
  /** The server's own address. */
  readonly origin: string;
  readonly proxy?: ProxyOptions;
  /** A cache that remembers nothing, of a server at `scheme://host`. */
  open(origin: string, http: HttpClient): BinaryCache;
  /** Ends the server. */
  end(): PromiseLike<void>;
}

const signal = new AbortController().signal;

export async function httpFaults(faults: HttpFaults, wire: Wire): Promise<FaultSubject> {
  const proxy = await faultProxy(faults.origin, faults.proxy, wire);
  const dead = await nowhere();
  const http = new HttpClient(loopbackCertificate().environment);
  const open = (origin: string) => faults.open(origin, http);
  const cache = open(proxy.origin);
  if (!can(cache, "push")) throw new Error(`${cache.name} cannot push`);
  const { failed } = await cache.push([PATH.info], narsOf([PATH]), () => undefined, signal);
  for (const error of failed.values()) throw error;
  return {
    withoutInfo: faults.withoutInfo,
    ...(faults.clockMatters ? { clockMatters: faults.clockMatters } : {}),
    async behind(fault) {
      proxy.fault = fault;
      return open(proxy.origin);
    },
    async nowhere(where) {
      switch (where) {
        case "unknown host":
          return open("http://nowhere.invalid");
        case "refused":
          return open(`http://127.0.0.1:${dead.refused}`);
        case "never answers":
          return open(`http://127.0.0.1:${dead.silent}`);
        case "TLS error":
          return open(`https://127.0.0.1:${dead.untrusted}`);
        default:
          return where satisfies never;
      }
    },
    async [Symbol.asyncDispose]() {
      http.close();
      await proxy[Symbol.asyncDispose]();
      await dead[Symbol.asyncDispose]();
      await faults.end();
    },
  };
}
