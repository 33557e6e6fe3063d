#!/usr/bin/env node
// What the contracts' tests reach, from the lcov file that forge writes: a line for each source, then what was missed.
// Fails below the least share of lines or of branches given, and when an error of IJobScheduler is never thrown.
//
//   coverage.js LCOV LEAST_PERCENT
"use strict";

const fs = require("node:fs");

const [lcov, least] = [process.argv[2], Number(process.argv[3])];
const INTERFACE = "contracts/src/IJobScheduler.sol";

/** Every source: how often its lines ran, {line: count}, and its branches, [[line, count]]. */
const sources = new Map();
let source;
for (const row of fs.readFileSync(lcov, "utf8").split("\n")) {
  const [kind, value] = [row.slice(0, row.indexOf(":")), row.slice(row.indexOf(":") + 1)];
  const fields = value.split(",");
  if (kind === "SF") sources.set(value, (source = { lines: new Map(), branches: [] }));
  if (kind === "DA") source.lines.set(Number(fields[0]), Number(fields[1]));
  if (kind === "BRDA") source.branches.push([Number(fields[0]), Number(fields[3]) || 0]);
}

const total = { lines: [0, 0], branches: [0, 0] };
const missed = [];
const thrown = new Set();
for (const [file, { lines, branches }] of [...sources].sort()) {
  if (!file.startsWith("contracts/src/")) continue;
  const hit = [[...lines.values()].filter(Boolean).length, lines.size];
  const taken = [branches.filter(([, count]) => count).length, branches.length];
  for (const i of [0, 1]) {
    total.lines[i] += hit[i];
    total.branches[i] += taken[i];
  }
  console.log(`${file}: ${hit.join("/")} lines, ${taken.join("/")} branches`);
  for (const [line, count] of lines) if (!count) missed.push(`${file}:${line}: line`);
  for (const [line, count] of branches) if (!count) missed.push(`${file}:${line}: branch`);
  fs.readFileSync(file, "utf8").split("\n").forEach((text, i) => {
    const name = /revert (?:IJobScheduler\.)?(\w+)\(/.exec(text)?.[1];
    // `if (...) revert` is a branch; a revert on a line of its own is a line.
    const branch = branches.filter(([line]) => line === i + 1);
    const ran = branch.length ? branch.some(([, count]) => count) : lines.get(i + 1);
    if (name && ran) thrown.add(name);
  });
}
const declared = [...fs.readFileSync(INTERFACE, "utf8").matchAll(/^ {4}error (\w+)\(/gm)].map(([, name]) => name);
for (const name of declared) if (!thrown.has(name)) missed.push(`${INTERFACE}: ${name} is never thrown`);
for (const line of missed) console.log(`missed: ${line}`);

const percent = ([hit, all]) => (100 * hit) / all;
const said = (counts) => `${percent(counts).toFixed(2)} % (${counts.join("/")})`;
console.log(`lines ${said(total.lines)}, branches ${said(total.branches)}, errors ${thrown.size}/${declared.length}`);
const isEnough = percent(total.lines) >= least && percent(total.branches) >= least;
if (!isEnough || declared.length === 0 || thrown.size < declared.length) {
  console.error(`error: the contracts' tests must reach ${least} % of lines and of branches, and every error`);
  process.exitCode = 1;
}
