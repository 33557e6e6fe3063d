// Mutants of the contracts, called by scripts/mutants: each is the sources with one place changed, as a slip would change it.
// Prints a line for each and fails when one survives that contracts/mutants.json does not answer.
//
// A mutant is first put in the place of the scheduler that the tests deploy: they need no compiling. If they notice nothing,
// a copy of the sources is changed and all tests are compiled and run, among them those that contain a library of the sources.
// What the scheduler does not contain, such as a consumer, goes there at once, with the tests of its own.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { parseArgs } from "node:util";
import { mutationsOf } from "./mutations.mjs";

const solc = createRequire(import.meta.url)("solc");
const SRC = "contracts/src";
const ANSWERS = "contracts/mutants.json";
const COPY = "target/contracts/mutants";
const DEPLOYED = path.join(COPY, "quick", "JobScheduler.sol", "JobScheduler.json");
/** Of the slowest test, many times over: a mutant that loops is noticed by that. */
const TIMEOUT_MS = 300_000;
// Not the tests that compare what is deployed with what was built, which is another here.
const COMMON = ["--fail-fast", "--no-match-contract", "RareStepsTest"];
const QUICK = [...COMMON, "--match-path", "contracts/test/{unit,fuzz}/*"];
const ALL = [...COMMON, "--no-match-path", "contracts/test/{gas,script}/*"];
const CONSUMER = `${SRC}/consumer/`;
const OF_CONSUMERS = [...COMMON, "--match-path", "contracts/test/{unit,fuzz,invariant}/*Consumer*.t.sol"];

const { values } = parseArgs({ options: { sample: { type: "string" }, only: { type: "string", multiple: true },
  list: { type: "boolean" }, quick: { type: "boolean" } } });

const sources = Object.fromEntries(
  readdirSync(SRC, { recursive: true }).filter((name) => name.endsWith(".sol")).sort()
    .map((name) => [`${SRC}/${name}`, { content: readFileSync(`${SRC}/${name}`, "utf8") }]),
);

function compile(given, outputSelection) {
  const settings = { evmVersion: "cancun", metadata: { bytecodeHash: "none", appendCBOR: false }, outputSelection };
  const { errors = [], ...rest } = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources: given, settings })));
  const failed = errors.filter(({ severity }) => severity === "error");
  return { ...rest, failed };
}

/** The text that a mutant is known by, which does not change with the lines before it. */
const nameOf = ({ file, before, after }) => `${path.basename(file)}: ${before} => ${after}`;
const orderOf = (mutant) => createHash("sha256").update(nameOf(mutant)).digest("hex");

function allMutants() {
  const { sources: parsed, failed } = compile(sources, { "*": { "": ["ast"] } });
  if (failed.length) throw new Error(failed[0].formattedMessage);
  const byName = new Map();
  for (const [file, { ast }] of Object.entries(parsed)) {
    for (const mutant of mutationsOf(file, sources[file].content, ast)) {
      // Two of one name are of two lines that read alike: all are kept.
      const name = nameOf(mutant);
      byName.set(byName.has(name) ? `${name} (line ${mutant.line})` : name, mutant);
    }
  }
  return [...byName].map(([name, mutant]) => ({ name, ...mutant }));
}

/** Whether the tests pass. */
function forge(args, out) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, FOUNDRY_PROFILE: "mutants", FOUNDRY_OUT: out, FOUNDRY_CACHE_PATH: `${out}-cache` };
    const child = spawn("forge", ["test", ...args], { stdio: ["ignore", "pipe", "pipe"], cwd: COPY, env });
    let said = "";
    const keep = (chunk) => (said = (said + chunk).slice(-1_000_000));
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const failed = /\[FAIL[^\n]*/.exec(said)?.[0].slice(0, 150) ?? said.trim().split("\n").at(-1) ?? "";
      resolve({ pass: code === 0, why: signal ? "does not end" : failed });
    });
  });
}

/** Whether tests pass without a mutant; asked once one gets as far as that. */
const isSound = {};

async function judge(mutant) {
  const { file, start, end, text } = mutant;
  const source = sources[file].content;
  const content = source.slice(0, start) + text + source.slice(end);
  const scheduler = `${SRC}/JobScheduler.sol`;
  const isConsumer = file.startsWith(CONSUMER);
  const wanted = isConsumer ? { [file]: { "*": ["abi"] } } : { [scheduler]: { JobScheduler: ["evm.bytecode.object"] } };
  const built = compile({ ...sources, [file]: { content } }, wanted);
  if (built.failed.length) return { verdict: "invalid", why: built.failed[0].message };
  if (isConsumer) return judgeWhole(file, content, OF_CONSUMERS);
  const artifact = JSON.parse(original);
  const object = `0x${built.contracts[scheduler].JobScheduler.evm.bytecode.object}`;
  artifact.bytecode.object = object;
  writeFileSync(DEPLOYED, JSON.stringify(artifact));
  const quick = await forge(QUICK, "quick");
  writeFileSync(DEPLOYED, original);
  if (!quick.pass) return { verdict: "killed", why: quick.why };
  if (values.quick) return { verdict: "survived" };
  return judgeWhole(file, content, ALL);
}

/** Compiles the tests with the changed file. */
async function judgeWhole(file, content, tests) {
  isSound[tests] ??= await forge(tests, "all");
  if (!isSound[tests].pass) throw new Error(`the tests fail without any mutant: ${isSound[tests].why}`);
  writeFileSync(path.join(COPY, file), content);
  const all = await forge(tests, "all");
  writeFileSync(path.join(COPY, file), sources[file].content);
  return all.pass ? { verdict: "survived" } : { verdict: "killed", why: all.why };
}

/** A project of its own, so that a changed source harms nobody. */
function makeCopy() {
  mkdirSync(COPY, { recursive: true });
  for (const name of ["foundry.toml", "package.json"]) cpSync(name, path.join(COPY, name));
  for (const name of ["src", "test", "script"]) {
    rmSync(path.join(COPY, "contracts", name), { recursive: true, force: true });
    cpSync(`contracts/${name}`, path.join(COPY, "contracts", name), { recursive: true });
  }
  for (const name of ["node_modules", "tests", "contracts/artifacts", "contracts/snapshots"]) {
    const link = path.join(COPY, name);
    if (!existsSync(link)) symlinkSync(path.resolve(name), link);
  }
}

const answers = existsSync(ANSWERS) ? JSON.parse(readFileSync(ANSWERS, "utf8")) : {};
const every = allMutants();
const chosen = every
  .filter(({ name, file }) => values.only?.some((text) => name.includes(text)) ?? !(values.sample && file.startsWith(CONSUMER)))
  .sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1))
  .filter(({ name }) => !(name in answers))
  .slice(0, values.sample ? Number(values.sample) : undefined);
const unknown = Object.keys(answers).filter((name) => !every.some((mutant) => mutant.name === name));
if (unknown.length) {
  console.error(`error: ${ANSWERS} answers what is no mutant of the sources now:\n  ${unknown.join("\n  ")}`);
  process.exit(1);
}
if (values.list) {
  for (const { name } of chosen) console.log(name);
  process.exit(0);
}

makeCopy();
const plain = await forge(QUICK, "quick");
if (!plain.pass) throw new Error(`the tests fail without any mutant: ${plain.why}`);
const original = readFileSync(DEPLOYED, "utf8");
const counts = { killed: 0, survived: 0, invalid: 0 };
for (const [i, mutant] of chosen.entries()) {
  const { verdict, why = "" } = await judge(mutant);
  counts[verdict] += 1;
  console.log(`${i + 1}/${chosen.length} ${verdict}: ${mutant.name} (line ${mutant.line})${why && ` [${why}]`}`);
}
console.log(`${counts.killed} killed, ${counts.survived} survived, ${counts.invalid} do not compile, of ${every.length} in all`);
if (counts.survived) {
  console.error(`error: a test must notice each mutant, or ${ANSWERS} say why none can`);
  process.exitCode = 1;
}
