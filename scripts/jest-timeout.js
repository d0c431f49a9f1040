// Gives every test of a suite the milliseconds that jest.config.js says; a test may ask for others.
import { jest } from "@jest/globals";

jest.setTimeout(globalThis.TEST_TIMEOUT);
