// The verdict functions of scripts/lib/verdict.mjs against the vectors that the program and the contract are held
// to: node --test tests/js/*.test.mjs

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ChainJob } from "../../scripts/lib/chain-job.mjs";
import { decide, unpack, unpackSummary } from "../../scripts/lib/verdict.mjs";

const METHODS = ["hash", "kmeans", "ball", "near"];
const VOID = `0x${"f".repeat(64)}`;

const vectors = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"));
const mask = (indices) => indices.reduce((bits, index) => bits + 2 ** index, 0);
const plain = (outcome) => ({
  ...outcome,
  scores: Object.fromEntries(Object.entries(outcome.scores).map(([run, score]) => [run, Number(score)])),
});

function terms(vector, method, relative = vector.relative_permille) {
  return {
    confidence: BigInt(vector.confidence),
    toleranceKib: BigInt(vector.tolerance_kib),
    relativePermille: BigInt(relative),
    method,
    deterministic: vector.deterministic ?? false,
    requireWork: vector.require_work ?? false,
    cpuPermille: BigInt(vector.cpu_permille ?? 333),
  };
}

/** A row in order of time; `ball` compares it sorted. */
function profile([, row, cpu], method) {
  if (row === null) return null;
  const kib = method === "ball" ? [...row].sort((a, b) => a - b) : row;
  // The reference knows of no page faults.
  return { row: kib.map(BigInt), cpuMs: BigInt(cpu), faults: 0n };
}

test("packed cases have the verdict of the program", () => {
  const { count, cases } = vectors("verdict-packed");
  assert.equal(cases.length, count);
  assert.ok(count > 0);
  for (const vector of cases) {
    const runs = vector.words.map((word, run) => ({
      output: BigInt(vector.outputs[run]) === 0n ? null : vector.outputs[run],
      exitCode: vector.exit_codes[run],
      profile: unpack(word),
      summary: unpackSummary(vector.summaries?.[run] ?? VOID),
    }));
    const found = decide(terms(vector, METHODS[vector.method]), runs);
    const { verdict, accepted, rejected, absent } = vector;
    assert.deepEqual(
      [found.outcome === "verdict", mask(found.accepted), mask(found.rejected), mask(found.absent)],
      [verdict, accepted, rejected, absent],
      JSON.stringify(vector),
    );
  }
});

test("reference cases have the scores and the verdict of the reference", () => {
  const { verdicts } = vectors("verdict-reference");
  assert.equal(verdicts.length, 15);
  for (const vector of verdicts) {
    for (const [key, method, relative] of [["kmeans_0", "kmeans", 0], ["ball_300", "ball", 300], ["ball_0", "ball", 0]]) {
      // A row stands for as many nodes as its first number says, each with an output of its own.
      const rows = vector.rows.flatMap((row) => Array(row[0]).fill(row));
      const runs = rows.map((row, run) => ({ output: `${run}`, profile: profile(row, method) }));
      // Alone, a run's own output is a majority: the vector says what the scorer would.
      const alone = runs.length === 1 ? { note: "equal outputs", scores: {} } : {};
      const found = plain(decide(terms(vector, method, relative), runs));
      assert.deepEqual(found, { ...vector[key], ...alone }, `${vector.name} ${key}`);
    }
  }
});

test("random cases have the scores and the verdict of the reference", () => {
  const cases = vectors("verdict-random");
  assert.equal(cases.length, 300);
  for (const vector of cases) {
    for (const method of ["kmeans", "ball"]) {
      const runs = vector.rows.map((row) => ({
        output: row[0] === 0 ? null : `${row[0]}`,
        profile: profile(row, method),
      }));
      assert.deepEqual(plain(decide(terms(vector, method), runs)), vector[method], JSON.stringify(vector));
    }
  }
});

test("words are read, void or refused as the program does", () => {
  const { unpack: words, unpack_count: count } = vectors("fingerprint");
  assert.equal(words.length, count);
  for (const { word, void: isVoid, dirty, memory_kib: row, cpu_ms: cpu, faults } of words) {
    if (dirty) assert.throws(() => unpack(word), RangeError, word);
    else {
      const profile = { row: row.map(BigInt), cpuMs: BigInt(cpu), faults: BigInt(faults) };
      assert.deepEqual(unpack(word), isVoid ? null : profile, word);
    }
  }
});

/** A word whose lanes are these, those that are not given being 0. */
const summary = (...lanes) =>
  lanes.reduce((word, lane, k) => word | (BigInt.asUintN(25, BigInt(lane)) << BigInt(25 * k)), 0n);

/** Runs of which each is [output, word of a summary or null, KiB or null, CPU time, page faults]. */
const runsOf = (rows) =>
  rows.map(([output, word, kib = null, cpu = 900, faults = 0]) => ({
    output,
    summary: word === null ? null : unpackSummary(word),
    profile: kib === null ? null : { row: Array(10).fill(BigInt(kib)), cpuMs: BigInt(cpu), faults: BigInt(faults) },
  }));

function judged(rows, changes) {
  const asked = { ...terms({ confidence: 1, tolerance_kib: 64, relative_permille: 0 }, "near"), ...changes };
  return plain(decide(asked, runsOf(rows)));
}

test("summaries are read, void or refused, and lanes are round", () => {
  assert.equal(unpackSummary(VOID), null);
  assert.deepEqual(unpackSummary(summary(1, -1)), [1n, (1n << 25n) - 1n, ...Array(8).fill(0n)]);
  for (const bit of [250n, 255n]) assert.throws(() => unpackSummary(1n << bit), RangeError);
});

test("near outputs agree within 64 steps of a centre, round the circle", () => {
  const rows = [["a", summary(-60, 3)], ["b", summary(0)], ["c", summary(64)], ["d", summary(65)], ["e", null]];
  const found = judged(rows, {});
  assert.deepEqual([found.accepted, found.rejected, found.note], [[0, 1, 2], [3, 4], "near outputs"]);
  assert.deepEqual(found.scores, { 0: 60, 1: 0, 2: 64, 3: 65 });
  // Two equal outputs without a summary agree; one that has a summary differs from one that has none.
  assert.deepEqual(judged([["a", null], ["a", null], ["a", summary(0)]], {}).accepted, [0, 1]);
});

test("equal hashes do not hide numbers that differ: the summary is not in the hash", () => {
  const rows = [["a", summary(0)], ["a", summary(64)], ["a", summary(9000)]];
  assert.deepEqual(judged(rows, {}).rejected, [2]);
  assert.equal(judged(rows, { deterministic: true }).note, "no majority agrees");
});

test("summaries of a deterministic job are not looked at", () => {
  const rows = [["a", summary(0)], ["b", summary(0)], ["c", summary(0)]];
  assert.equal(judged(rows, { deterministic: true }).note, "no majority agrees");
  assert.equal(judged(rows, { confidence: 3n }).note, "near outputs");
});

test("no run that states another exit code than most is accepted", () => {
  const asked = { confidence: 1, tolerance_kib: 1024, relative_permille: 300 };
  const runs = (exitCodes) => exitCodes.map((exitCode) => ({ output: "0x01", exitCode, profile: null, summary: null }));
  for (const method of ["hash", "kmeans", "ball", "near"]) {
    const of = (exitCodes) => decide(terms(asked, method), runs(exitCodes));
    assert.deepEqual([of([0, 3, 0]).accepted, of([0, 3, 0]).rejected], [[0, 2], [1]], method);
    assert.deepEqual(of([3n, 3n, 3n]).accepted, [0, 1, 2], method);
    assert.equal(of([0, 1, 2]).outcome, "inconclusive", method);
  }
});

test("where work is required, outputs alone are not enough", () => {
  const work = { requireWork: true };
  const rows = [["a", summary(0), 6400], ["b", summary(9), 6464], ["b", summary(9), 64]];
  const found = judged(rows, work);
  assert.deepEqual([found.accepted, found.rejected, found.note], [[0, 1], [2], "near outputs and work"]);
  assert.deepEqual(found.scores, { 0: 0, 1: 640, 2: 63360 });
  const equal = judged([["a", null, 640], ["a", null, 640], ["a", null]], { ...work, method: "hash" });
  assert.deepEqual([equal.accepted, equal.absent, equal.note], [[0, 1], [2], "equal outputs and work"]);
  assert.equal(judged(rows, { ...work, confidence: 3n }).note, "fewer than M agree");
  assert.equal(judged([["a", null], ["a", null]], work).note, "no traces");
  assert.equal(judged(rows, { ...work, method: "ball" }).note, "bad parameters");
});

test("the terms say how far CPU times may differ", () => {
  const rows = [["a", null, 640, 1000], ["b", null, 640, 2000], ["c", null, 640, 4001]];
  assert.deepEqual(judged(rows, { method: "ball", cpuPermille: 500n }).accepted, [0, 1]);
  assert.equal(judged(rows, { method: "ball", cpuPermille: 499n }).note, "no majority agrees");
});

test("page faults may differ by 600, or by a fifth of the larger number", () => {
  const accepted = (...faults) =>
    judged(faults.map((count, run) => [`${run}`, null, 640, 900, count]), { method: "ball" }).accepted;
  assert.deepEqual(accepted(0, 600, 1201), [0, 1]);
  assert.deepEqual(accepted(8000, 10000, 12501), [0, 1]);
  assert.deepEqual(accepted(8000, 10000, 12500), [0, 1, 2]);
});

test("parameters that make no sense are inconclusive", () => {
  const runs = Array.from({ length: 129 }, (_, run) => ({ output: `${run}`, profile: null }));
  for (const [n, confidence, relative] of [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 2, 0], [129, 65, 0], [3, 2, 1001]]) {
    const found = decide(terms({ confidence, tolerance_kib: 0 }, "ball", relative), runs.slice(0, n));
    assert.equal(found.note, "bad parameters");
  }
});

test("after a job's end come remarks and slots, and nothing that changes it", () => {
  const after = (name) => {
    const job = new ChainJob({ chainId: 1n, contract: VOID }, VOID);
    job.terms = {};
    job.ended = "Expired";
    job.apply({ name, args: {}, at: 0n, place: { block: 10 } });
    return job.problems;
  };
  assert.deepEqual([after("Remarked"), after("Unpacked")], [[], []]);
  assert.deepEqual(after("BidPlaced"), ["BidPlaced in block 10 comes after the job's end"]);
});
