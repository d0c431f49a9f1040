/** Our own version: what another one of ours wrote may mean something else. */

/** As in package.json; a test holds the two together. */
export const VERSION = "1.0.0";
