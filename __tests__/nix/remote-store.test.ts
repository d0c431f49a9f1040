import { expect, test } from "@jest/globals";
import { parsePathInfos, remoteTrouble } from "../../src/nix/remote-store.ts";
import { userError } from "../support/thrown.ts";

const STORE = "/nix/store";
const PATH = `${STORE}/1b9p07z77phvv2hf6gm9f28syp39f1ag-top`;
const LEAF = `${STORE}/0c4dcmsd1s2zla7mfpzhpk3s9cbijwqm-leaf`;
const GONE = `${STORE}/2yh5188zwdcay07wzfzgcd5wk7194bh1-gone`;
const HASH = "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s";
const SRI = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

const fields = { narHash: HASH, narSize: 120, references: [LEAF, PATH], signatures: ["k:sig"] };

test.each([
  [
    "2.8",
    [
      { path: PATH, ...fields, deriver: `${LEAF}.drv` },
      { path: GONE, valid: false },
    ],
  ],
  ["2.26", { [PATH]: { ...fields, narHash: SRI, deriver: `${LEAF}.drv`, ca: null }, [GONE]: null }],
])("nix path-info --json of %s is read", (_, answer) => {
  expect(parsePathInfos(JSON.stringify(answer), STORE, "cache")).toEqual([
    {
      storePath: PATH,
      url: "nar/1b9p07z77phvv2hf6gm9f28syp39f1ag.nar",
      compression: "none",
      fileHash: undefined,
      fileSize: 120,
      narHash: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      narSize: 120,
      references: [LEAF, PATH],
      deriver: "0c4dcmsd1s2zla7mfpzhpk3s9cbijwqm-leaf.drv",
      signatures: ["k:sig"],
      contentAddress: undefined,
    },
  ]);
});

test.each([
  ["it is not JSON", "<html>"],
  ["no store path", JSON.stringify({ "/etc/passwd": fields })],
  ["no hash", JSON.stringify({ [PATH]: { ...fields, narHash: "md5:1" } })],
  ["no size", JSON.stringify({ [PATH]: { ...fields, narSize: "120" } })],
  ["a reference elsewhere", JSON.stringify({ [PATH]: { ...fields, references: ["/tmp/x"] } })],
])("%s: it is refused, by the cache's name", (_, text) => {
  const error = userError(() => parsePathInfos(text, STORE, "ssh-ng://host"));
  expect(error.code).toBe("NCP-202");
  expect(error.message).toContain("ssh-ng://host: nix path-info --json");
});

/** As OpenSSH 9.2 and Nix 2.8, 2.26 and 2.34 print it. */
test.each([
  [
    "root@host: Permission denied (publickey).\nerror: cannot open connection",
    "NCP-303",
    "Permission",
  ],
  ["Host key verification failed.\nerror: failed to start SSH connection", "NCP-331", "Host key"],
  [
    "ssh: Could not resolve hostname nowhere.invalid: Name or service not known",
    "NCP-302",
    "nowhere",
  ],
  ["error: path '/x/store/y' is not in the Nix store", "NCP-304", "its store folder is not"],
  [
    "bash: line 1: nix-daemon: command not found\nerror: unexpected end-of-file",
    "NCP-304",
    "no Nix",
  ],
  ["error: cannot open: error: protocol mismatch, got '--stdio'", "NCP-304", "no Nix behind"],
  [
    "error: cannot add path '/x' because it lacks a signature by a trusted key",
    "NCP-305",
    "signed",
  ],
  ["error: don't know how to open Nix store 's3://x'", "NCP-330", "this Nix cannot open"],
  ["error: something new", "NCP-302", "something new"],
])("%j has its own code", (stderr, code, words) => {
  const error = remoteTrouble("ssh-ng://host", stderr);
  expect(error.code).toBe(code);
  expect(error.message).toMatch(/^ssh-ng:\/\/host: /);
  expect(error.message).toContain(words);
});
