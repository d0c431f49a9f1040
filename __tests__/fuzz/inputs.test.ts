import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { DEFAULTS, type InputName, parseInputs, readInputs } from "../../src/action/inputs.ts";
import { loadState } from "../../src/action/state.ts";
import { trustOf } from "../../src/action/trust.ts";
import { readPins, writePin } from "../../src/caches/file/pins.ts";
import { UserError } from "../../src/domain/errors.ts";
import {
  type AttrSegment,
  formatAttrPath,
  formatInFile,
  formatOutputs,
  isNameable,
} from "../../src/domain/installable.ts";
import { parseTarget, parseTargets } from "../../src/domain/target.ts";
import { markdown, plainLine } from "../../src/report/page.ts";
import { temporaryFolder } from "../support/folder.ts";
import { chance, damaged, PATIENCE, ROUNDS, tryAll } from "../support/fuzz.ts";
import { locationOf } from "../support/open-cache.ts";
import { STORE, storePath } from "../support/paths.ts";
import { forged, recordFile, SEAL, save } from "../support/seal.ts";

test(
  "target lines",
  () => {
    const whole = [
      "nixpkgs#bws pin=bws priority=90 space=6GB system=x86_64-linux closure=build",
      '.#homeConfigurations.*."with.dots"^bin,man',
      `${storePath("a.drv")}^* priority=1`,
      storePath("a"),
      '"a b".*^dev file="my nix/ci.nix"',
      "file=shell.nix priority=3",
      "# a comment\n\n.#a\n.#b pin=*\n",
    ];
    const words = [
      "pin=",
      "priority=",
      "space=",
      "system=",
      "closure=",
      "file=",
      "^",
      "*",
      "#",
      ".",
      '"',
    ];
    const tally = tryAll(damaged(whole, words, 11), parseTargets, ({ targets }) => {
      for (const { installable, text, priority, space } of targets) {
        if (text.startsWith("-")) throw new Error("an option");
        if (!(priority >= 0 && priority <= 100)) throw new Error(`priority ${priority}`);
        if (space !== undefined && !Number.isFinite(space)) throw new Error(`space ${space}`);
        if (installable.kind === "file") {
          const path = formatAttrPath(installable.attrPath);
          const line = formatInFile(path, installable.outputs, installable.file);
          expect(parseTarget(line).installable).toEqual(installable);
        }
        if (installable.kind !== "flake") continue;
        // What we make of it for Nix is read as the same thing.
        const { flake, attrPath, outputs } = installable;
        const line = `${flake}#${formatAttrPath(attrPath)}${formatOutputs(outputs)}`;
        expect(parseTarget(line).installable).toEqual(installable);
      }
    });
    expect(tally.accepted).toBeGreaterThan(ROUNDS / 20);
    expect(tally.refused).toBeGreaterThan(ROUNDS / 20);
  },
  PATIENCE,
);

test(
  "names of attributes: a line that is written of them is read as them, and is one line",
  () => {
    const next = chance(23);
    const letters = [
      ..."aZ09._-'@ %^#*!=,+\"\\\n\r\t\u0000\u0085\u00a0\u2028\u202e\ufeffü💥\u0024{}",
      "SYSTEM",
    ];
    for (let round = 0; round < ROUNDS; round++) {
      const name = () =>
        Array.from({ length: next(6) }, () => letters[next(letters.length)] ?? "").join("");
      const attrPath = Array.from({ length: 1 + next(3) }, (): AttrSegment => {
        const kind = next(8);
        return kind === 0
          ? { kind: "every" }
          : kind === 1
            ? { kind: "system" }
            : { kind: "name", name: name() };
      });
      const written = `.#${formatAttrPath(attrPath)}`;
      if (attrPath.every((one) => one.kind !== "name" || isNameable(one.name))) {
        const lines = parseTargets(`${written}^dev pin=p\n`).targets;
        expect(lines).toMatchObject([
          { pin: "p", installable: { flake: ".", attrPath, outputs: { names: ["dev"] } } },
        ]);
        expect(parseTarget(written).installable).toMatchObject({ attrPath });
      }
    }
  },
  PATIENCE,
);

test(
  "inputs",
  () => {
    const names = Object.keys(DEFAULTS) as InputName[];
    const next = chance(12);
    const whole = [
      ...Object.values(DEFAULTS),
      "cachix:a?host=http://127.0.0.1:1",
      "attic:host/cache",
      "s3://bucket?region=x",
      "https://user:hunter2@host/x",
      "warm",
      "true",
      "days:30",
      ">1GB, bws-*, >10m",
      "-source$|^nixos-",
      "a-1:lsbNfweSTD355LPCB4HStuWUrYtGu/wW8TV39WbYnK4=",
    ];
    const words = ["https://", "file:///", "cachix:", "@", ":", "?", ",", ">", "GB", "hunter2@"];
    const tally = tryAll(
      damaged(whole, words, 13),
      (text) => {
        const name = names[next(names.length)] ?? "mode";
        return parseInputs(readInputs({ [`INPUT_${name.toUpperCase()}`]: text }));
      },
      ({ job }) => {
        JSON.stringify({ ...job, substituters: [] });
      },
    );
    expect(tally.accepted).toBeGreaterThan(ROUNDS / 20);
    expect(tally.refused).toBeGreaterThan(ROUNDS / 20);
  },
  PATIENCE,
);

test(
  "places with a password: it is in no error",
  () => {
    const whole = [
      "https://user:hunter2@host/x",
      "cachix:a?host=https://user:hunter2@host",
      "attic:https://user:hunter2@host/cache",
      "ssh-ng://user:hunter2@host",
    ];
    const words = ["https://", "@", ":", "?host=", "/", "#", "cachix:"];
    const told: string[] = [];
    let tried = 0;
    for (const text of damaged(whole, words, 14)) {
      // Damage may take the password apart, or write it where it is none.
      if (!text.includes(":hunter2@") || text.split("hunter2").length !== 2) continue;
      tried++;
      try {
        locationOf(text);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        if (error.message.includes("hunter2")) told.push(text);
      }
    }
    expect(told).toEqual([]);
    expect(tried).toBeGreaterThan(ROUNDS / 20);
  },
  PATIENCE,
);

test(
  "events: what is not shown to be ours is read-only",
  () => {
    const folder = join(import.meta.dirname, "..", "fixtures", "events");
    const foreign = readdirSync(folder)
      .filter((file) => /fork|deleted|comment|workflow_run/.test(file) && !/inside/.test(file))
      .map((file) => readFileSync(join(folder, file), "utf8"));
    const words = ['"id": 186853002', '"repo": null', '"head": {', '"base": {', "{", "}", "[", '"'];
    const events = ["pull_request", "pull_request_target", "workflow_run", "issue_comment", "x"];
    const next = chance(15);
    const ids = (event: unknown): unknown[] => {
      const pull = (event as { pull_request?: { head?: { repo?: { id?: unknown } } } })
        ?.pull_request;
      const base = (event as { pull_request?: { base?: { repo?: { id?: unknown } } } })
        ?.pull_request;
      return [pull?.head?.repo?.id, base?.base?.repo?.id];
    };
    for (const text of damaged(foreign, words, 16)) {
      const trust = trustOf({
        eventName: events[next(events.length)] ?? "",
        event: text,
        ref: "refs/heads/main",
        asked: "auto",
        cache: locationOf("file:///cache"),
        token: "given",
        cacheMode: undefined,
      });
      if (trust.kind === "read-only") continue;
      // Chance may write our own id under the head: then, and only then, it is ours.
      const [head, base] = ids(JSON.parse(text));
      expect(typeof head).toBe("number");
      expect(head).toBe(base);
      expect(trust.pins).toBe("keep");
    }
  },
  PATIENCE,
);

test(
  "main's record for post",
  async () => {
    await using folder = await temporaryFolder();
    const trust = { kind: "read-only", code: "strange", why: "a fork" } as const;
    const memory = {
      targets: [
        {
          name: ".#a",
          outputs: [storePath("a")],
          pins: [{ name: "a", storePath: storePath("a") }],
        },
      ],
      storeNames: new Set(["x"]),
    };
    const text = await save(folder.path, {
      trust,
      memory,
      watcher: { pid: 4711, began: "1" },
    });
    const whole = [readFileSync(recordFile(text), "utf8")];
    const words = ['"outputs":["', '"pins":[{"name":"', "..", "--", '"', ",", "null", "[]"];
    for (const record of damaged(whole, words, 17)) {
      const sealed = await forged(text, record);
      // Without the secret nothing is read but what was written.
      const believed = await loadState(text, SEAL);
      if (believed) expect(believed.trust).toEqual(trust);
      const found = await loadState(sealed, SEAL);
      for (const { outputs, pins } of found?.memory.targets ?? []) {
        for (const { name, storePath: path } of pins) {
          expect(name).toMatch(/^[0-9A-Za-z_.+-]+(\^[0-9A-Za-z_.+-]+)?$/);
          expect(path).toMatch(/^\/\S+$/);
        }
        for (const path of outputs) expect(path).toMatch(/^\/\S+$/);
      }
    }
  },
  PATIENCE,
);

test(
  "pins on disk",
  async () => {
    await using folder = await temporaryFolder();
    const pin = { name: "bws", storePath: storePath("bws"), keep: { kind: "forever" } } as const;
    await writePin(folder.path, pin);
    const whole = [readFileSync(folder.at("pins", "bws.json"), "utf8")];
    const words = ['"revisions": [', '"storePath": ', '"version": 1', "null", "{}", "[]", ","];
    for (const text of damaged(whole, words, 18)) {
      writeFileSync(folder.at("pins", "bws.json"), text);
      try {
        for (const { storePath: path } of await readPins(folder.path, STORE)) {
          expect(path.startsWith(`${STORE}/`)).toBe(true);
        }
      } catch (error) {
        if (!(error instanceof UserError)) throw new Error(JSON.stringify(text), { cause: error });
      }
    }
  },
  PATIENCE,
);

test(
  "text for the log and the summary",
  () => {
    const whole = ["a plain line", "::error::x", "| a | b |", "<b>bold</b>", "\u001b[31mred"];
    for (const text of damaged(whole, ["::", "##[", "|", "<", "`", "\n"], 19)) {
      for (const line of text.split("\n").map(plainLine)) {
        if (/^\s*::/.test(line) || line.includes("##[") || line.includes("\u001b")) {
          throw new Error(JSON.stringify(text));
        }
      }
      if (/[|<>`\n]/.test(markdown(text))) throw new Error(JSON.stringify(text));
    }
    expect(plainLine(markdown("::"))).toBe(": :");
  },
  PATIENCE,
);
