/** Owns the proof that the issue forms are what GitHub takes; a form with a mistake is shown to nobody. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";

const FOLDER = join(".github", "ISSUE_TEMPLATE");
const FORMS = readdirSync(FOLDER).filter((name) => name !== "config.yml");
const read = (name: string) => parse(readFileSync(join(FOLDER, name), "utf8"));

interface Field {
  readonly type: string;
  readonly id?: string;
  readonly attributes?: { readonly label?: string; readonly value?: string; readonly options?: [] };
}

/** Source: GitHub's documentation, "Syntax for GitHub's form schema". */
const INPUTS = ["textarea", "input", "dropdown", "checkboxes"];

describe("issue forms", () => {
  test("are there", () => {
    expect(FORMS.length).toBeGreaterThan(1);
  });

  test.each(FORMS)("%s has a name, a description, and fields that GitHub knows", (name) => {
    const form = read(name) as { name?: string; description?: string; body: readonly Field[] };
    expect([typeof form.name, typeof form.description]).toEqual(["string", "string"]);
    const inputs = form.body.filter(({ type }) => type !== "markdown");
    expect(inputs.length).toBeGreaterThan(0);
    for (const { type, attributes } of inputs) {
      expect(INPUTS).toContain(type);
      expect(attributes?.label).toMatch(/./);
      if (type === "dropdown") expect(attributes?.options?.length).toBeGreaterThan(1);
    }
    for (const { type, attributes } of form.body) {
      if (type === "markdown") expect(attributes?.value).toMatch(/./);
    }
    const ids = inputs.map(({ id }) => id);
    expect(ids.every((id) => /^[a-z][a-z-]*$/.test(id ?? ""))).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("lead elsewhere what is none, with a name, an address and a reason", () => {
    const { contact_links: links } = read("config.yml") as {
      contact_links: readonly { name: string; url: string; about: string }[];
    };
    for (const { name, url, about } of links) {
      expect([name, about].every(Boolean)).toBe(true);
      expect(URL.canParse(url)).toBe(true);
    }
  });
});
