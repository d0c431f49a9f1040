// Two suites: `unit` runs anywhere Node does; `nix` drives real Nix and the committed bundle.
const shared = {
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  transform: { "\\.ts$": "<rootDir>/scripts/jest-transform.js" },
  modulePathIgnorePatterns: ["<rootDir>/demo-out/", "<rootDir>/dist/"],
  // Jest heeds no testTimeout inside a project: this file sets what TEST_TIMEOUT below says.
  setupFilesAfterEnv: ["<rootDir>/scripts/jest-timeout.js"],
};

export default {
  testSequencer: "<rootDir>/scripts/jest-sequencer.js",
  projects: [
    {
      ...shared,
      displayName: "unit",
      // To end what hangs, never what is slow: some ask a real Nix, and the machine may have other work.
      globals: { TEST_TIMEOUT: 240_000 },
      testMatch: ["<rootDir>/__tests__/**/*.test.ts"],
      testPathIgnorePatterns: ["/node_modules/", "/__tests__/(e2e|differential)/"],
    },
    {
      ...shared,
      displayName: "nix",
      globals: { TEST_TIMEOUT: 600_000 },
      testMatch: ["<rootDir>/__tests__/{e2e,differential}/**/*.test.ts"],
    },
  ],
};
