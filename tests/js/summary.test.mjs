// The encoder of scripts/lib/summary.mjs against the vectors that the program is held to.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { summary } from "../../scripts/lib/summary.mjs";

test("numbers have the summary word of the program", () => {
  const path = new URL("../vectors/summary.json", import.meta.url);
  const { count, cases } = JSON.parse(readFileSync(path, "utf8"));
  assert.equal(cases.length, count);
  for (const { kinds, text, word } of cases) {
    assert.equal(summary(kinds.split(","), text), BigInt(word), `${kinds} ${text}`);
  }
});
