/** Owns the Cachix stand-in's endpoints that change something: uploads in parts, and pins. */

import type { IncomingMessage } from "node:http";
import { hashPart } from "../../src/domain/store-path.ts";
import { checkFile, parseNarInfoCreate, signDeclared } from "./cachix-complete.ts";
import type { CachixContext, Visit } from "./cachix-context.ts";
import { exactFields, refuse } from "./cachix-refuse.ts";
import type { Route } from "./cachix-routes.ts";
import { assembleParts, receivePart, type Upload } from "./cachix-uploads.ts";
import { json, type Outcome, type Reply, readBody, readJson, text } from "./http.ts";

/** A closure root may have thousands of references of 50 bytes each. */
const BODY_LIMIT = 16 * 1024 * 1024;

/** Servant's `NoContent` under a declared 200: the status is not 204. */
const DONE: Reply = { status: 200 };

export async function createUpload(
  context: CachixContext,
  route: Route,
  request: IncomingMessage,
): Promise<Reply> {
  await readBody(request, { limit: BODY_LIMIT });
  const upload = context.uploads.create(route.query.get("compression"), context.settings);
  return json(200, { narId: upload.narId, uploadId: upload.uploadId });
}

export async function signPart(
  context: CachixContext,
  visit: Visit,
  route: Route,
  request: IncomingMessage,
): Promise<Reply> {
  const upload = findUpload(context, route);
  const body = await readJson(request, { limit: BODY_LIMIT });
  const { partNumber } = route;
  const uploadUrl = context.uploads.sign(upload, partNumber, body, visit.storageOrigin);
  return json(200, { uploadUrl });
}

export function putPart(
  context: CachixContext,
  visit: Visit,
  route: Route,
  request: IncomingMessage,
): Promise<Outcome> {
  const strikes = (name: "expiredPartUrl" | "dropMidPart" | "missingETag") =>
    context.injector.strikes(name, visit.target) !== undefined;
  const isExpired = strikes("expiredPartUrl");
  const isDropped = !isExpired && strikes("dropMidPart");
  return receivePart(findUpload(context, route), route.query, request, {
    isExpired,
    isDropped,
    isETagWithheld: !isExpired && !isDropped && strikes("missingETag"),
  });
}

export async function completeUpload(
  context: CachixContext,
  visit: Visit,
  route: Route,
  request: IncomingMessage,
): Promise<Reply> {
  const upload = findUpload(context, route);
  const value = await readJson(request, { limit: BODY_LIMIT });
  const body = JSON.stringify(value);
  if (upload.status === "aborted") return json(404, { error: "upload is aborted" });
  if (upload.completion && upload.completion.body !== body) {
    return json(400, { error: "upload is completed, with another body" });
  }
  upload.completion ??= { body, done: finish(context, visit, upload, value) };
  try {
    await upload.completion.done;
  } catch (thrown) {
    // A refused completion leaves the upload open: it can be put right, or aborted.
    upload.completion = undefined;
    throw thrown;
  }
  return DONE;
}

async function finish(
  context: CachixContext,
  visit: Visit,
  upload: Upload,
  value: unknown,
): Promise<void> {
  const { state, settings, injector } = context;
  await injector.strikes("slowComplete", visit.target)?.until;
  const { parts, narInfoCreate } = exactFields(value, ["parts", "narInfoCreate"], "body");
  const declared = parseNarInfoCreate(narInfoCreate, context.storeDir, upload.extension);
  const narInfo = signDeclared(declared, context.signing);
  const file = assembleParts(upload, parts, settings);
  const { checkNar } = settings;
  const nar = await checkFile(narInfo, file, { extension: upload.extension, checkNar });
  upload.status = "completed";
  upload.file.release();
  if (injector.strikes("upstreamOnly", { ...visit.target, hash: nar.storeHash })) {
    const { signatures } = signDeclared(
      { narInfo, cSig: null },
      { kind: "managed", key: context.upstreamKey },
    );
    state.commit("upstream", { ...narInfo, signatures }, nar);
  } else {
    state.commit("own", narInfo, nar);
  }
}

export function abortUpload(context: CachixContext, route: Route): Reply {
  context.uploads.abort(findUpload(context, route));
  return DONE;
}

function findUpload(context: CachixContext, route: Route): Upload {
  return context.uploads.find(route.subject, route.query.get("uploadId"));
}

/** Looks at own paths only: what an upstream holds is "not in binary cache". */
export async function createPin(
  context: CachixContext,
  visit: Visit,
  request: IncomingMessage,
): Promise<Reply> {
  const { state, injector } = context;
  const pin = state.pins.parse(await readJson(request, { limit: BODY_LIMIT }));
  const hash = hashPart(pin.storePath);
  const target = { ...visit.target, hash };
  if (injector.strikes("gcBeforePin", target)) state.gc();
  if (
    state.own.get(hash)?.storePath !== pin.storePath ||
    injector.strikes("pinRefused", target) !== undefined
  ) {
    refuse(`${pin.storePath} not in binary cache`);
  }
  state.pins.add(pin);
  return DONE;
}

export function listPins(context: CachixContext, visit: Visit): Reply {
  return json(
    200,
    context.state.pins.list(
      (name, revision) =>
        context.injector.strikes("slowPin", visit.target, `${name}#${revision}`) === undefined,
    ),
  );
}

export function deletePin(context: CachixContext, route: Route): Reply {
  return context.state.pins.byName.delete(route.subject)
    ? { status: 204 }
    : text(404, `no pin ${route.subject}`);
}
