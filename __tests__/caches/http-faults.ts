/** Owns the fault suite of caches that are reached over HTTP: a proxy before their server, and dead ends. */

import type { BinaryCache } from "../../src/domain/cache.ts";
import { can } from "../../src/domain/cache.ts";
import { faultProxy, type ProxyOptions } from "../servers/fault-proxy.ts";
import { nowhere } from "../servers/nowhere.ts";
import type { FaultSubject } from "./contract-faults.ts";
import { PATH } from "./contract-faults.ts";
import { narsOf } from "./made-up.ts";

export interface HttpFaults extends Pick<FaultSubject, "withoutInfo" | "clockMatters"> {
  /** The server's own address. */
  readonly origin: string;
  readonly proxy?: ProxyOptions;
  /** A client that remembers nothing, of a server at `scheme://host`. */
  open(origin: string): BinaryCache;
  /** Ends the server. */
  end(): PromiseLike<void>;
}

const signal = new AbortController().signal;

export async function httpFaults(faults: HttpFaults): Promise<FaultSubject> {
  const proxy = await faultProxy(faults.origin, faults.proxy);
  const dead = await nowhere();
  const cache = faults.open(proxy.origin);
  if (!can(cache, "push")) throw new Error(`${cache.name} cannot push`);
  const { failed } = await cache.push([PATH.info], narsOf([PATH]), () => undefined, signal);
  for (const error of failed.values()) throw error;
  return {
    withoutInfo: faults.withoutInfo,
    ...(faults.clockMatters ? { clockMatters: faults.clockMatters } : {}),
    async behind(fault) {
      proxy.fault = fault;
      return faults.open(proxy.origin);
    },
    async nowhere(where) {
      switch (where) {
        case "unknown host":
          return faults.open("http://nowhere.invalid");
        case "refused":
          return faults.open(`http://127.0.0.1:${dead.refused}`);
        case "never answers":
          return faults.open(`http://127.0.0.1:${dead.silent}`);
        case "TLS error":
          return faults.open(`https://127.0.0.1:${dead.untrusted}`);
        default:
          return where satisfies never;
      }
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await dead[Symbol.asyncDispose]();
      await faults.end();
    },
  };
}
