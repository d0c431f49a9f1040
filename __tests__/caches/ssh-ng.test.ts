import type { SigningKey } from "../../src/domain/signature.ts";
import { HttpClient } from "../../src/host/http.ts";
import { remoteStores } from "../../src/nix/remote-store.ts";
import { type SshStore, sshStore } from "../servers/sshd.ts";
import { newKey } from "../support/keys.ts";
import { openAt } from "../support/open-cache.ts";
import { cacheContract } from "./contract.ts";

const http = new HttpClient({});

function open(at: SshStore, signingKey: SigningKey | undefined, environment = at.environment) {
  const storeDir = "/nix/store";
  const { TMPDIR: workspace = "", TMPDIR: folder = "" } = environment;
  const remoteStore = remoteStores({ environment, workspace, version: at.version, storeDir });
  return openAt(at.url, { http, signingKey, remoteStore, folder });
}

cacheContract("ssh-ng://", async () => {
  const at = await sshStore();
  const key = newKey();
  return {
    cache: open(at, key),
    reopen: async () => open(at, key),
    [Symbol.asyncDispose]: () => at[Symbol.asyncDispose](),
  };
});
