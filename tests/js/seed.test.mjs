// The seed of a job, computed here as docs/containers.md says, against the vectors that the program is held to:
// node --test tests/js/*.test.mjs

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

test("the seed of a job is that of the program", () => {
  const vectors = JSON.parse(readFileSync(new URL("../vectors/seed.json", import.meta.url), "utf8"));
  assert.ok(vectors.length > 1);
  for (const { job, seed, seed32 } of vectors) {
    const hash = createHash("sha256").update("assay seed v1\0").update(Buffer.from(job.slice(2), "hex")).digest();
    assert.equal(seed, hash.toString("hex"), job);
    assert.equal(seed32, hash.readUInt32BE(0) & 0x7fffffff, job);
  }
});
