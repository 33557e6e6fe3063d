// Prints what is kept of a build, called by scripts/contracts with its directory and a name: of the scheduler its ABI,
// the bytecode to deploy, and where in it the code is that a deployment leaves; of the harness Batch its code and how its
// functions are called; of the harness Token its code. Fails when the two contracts of the scheduler are not what one at one address must be.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

/** What a contract may have, and the code that makes one, by EIP-170 and EIP-3860. */
const MAX_CODE_BYTES = 24_576;
const MAX_CREATION_BYTES = 49_152;

const [out, name] = process.argv.slice(2);

function build(of, file = of) {
  const built = JSON.parse(fs.readFileSync(path.join(out, `${file}.sol`, `${of}.json`), "utf8"));
  if (Object.keys(built.bytecode.linkReferences).length > 0) {
    throw new Error(`${of} is meant to be whole: what it deploys would lack a library`);
  }
  return built;
}

const bytes = (code) => (code.object.length - 2) / 2;

/** Functions as the ABI says them. */
function functions({ abi }) {
  return abi.filter(({ type }) => type === "function").map((entry) => JSON.stringify(entry)).sort();
}

/** Where a contract keeps what. */
function layout({ storageLayout }) {
  const typeName = (type) => type.replace(/\)\d+/g, ")");
  return storageLayout.storage.map(({ label, slot, offset, type }) => `${slot}.${offset} ${label} ${typeName(type)}`);
}

/** Where in the creation code is what it leaves, but for the asset: where that is filled in, in words of 32 bytes. */
function placed(creation, { deployedBytecode: code }) {
  const [whole, part] = [creation.object, code.object].map((hex) => hex.slice(2));
  const start = whole.indexOf(part);
  if (start < 0 || start % 2 !== 0 || whole.indexOf(part, start + 1) >= 0) {
    throw new Error("the creation code must contain the code that it leaves, once");
  }
  const references = Object.values(code.immutableReferences ?? {});
  if (references.length !== 1 || references[0].some(({ length }) => length !== 32)) {
    throw new Error("the code may differ by its asset and by nothing else: it could not be checked");
  }
  const asset = references[0].map(({ start: at }) => at).sort((a, b) => a - b);
  return { start: start / 2, bytes: bytes(code), asset };
}

function scheduler() {
  const [common, rare, face] = ["JobScheduler", "RareSteps", "IJobScheduler"].map((part) => build(part));
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  if (!same([...functions(common), ...functions(rare)].sort(), functions(face))) {
    throw new Error("JobScheduler and RareSteps together must have each function of IJobScheduler, once, and no other");
  }
  if (layout(common).length === 0 || !same(layout(common), layout(rare))) {
    throw new Error("JobScheduler and RareSteps work on one storage: both must lay it out as Storage does");
  }
  for (const { deployedBytecode: code } of [common, rare]) {
    if (bytes(code) > MAX_CODE_BYTES) throw new Error(`${bytes(code)} bytes of code: ${MAX_CODE_BYTES} are allowed`);
  }
  if (bytes(common.bytecode) > MAX_CREATION_BYTES) {
    throw new Error(`${bytes(common.bytecode)} bytes make the contract: ${MAX_CREATION_BYTES} are allowed`);
  }
  const code = { scheduler: placed(common.bytecode, common), rareSteps: placed(common.bytecode, rare) };
  return { abi: face.abi, bytecode: common.bytecode.object, code };
}

function batch() {
  const { deployedBytecode, methodIdentifiers } = build("Batch");
  const selectors = Object.entries(methodIdentifiers).map(([signature, selector]) => [signature.split("(")[0], selector]);
  const { steps, verdicts } = Object.fromEntries(selectors);
  return { steps, verdicts, code: deployedBytecode.object };
}

/** What tests in Rust deploy of the examples for contracts that ask. */
function example() {
  const { abi, bytecode } = build(name);
  return { abi, bytecode: bytecode.object };
}

/** The code of a token, which a test in Rust puts on its chain, and where it keeps balances. */
function token() {
  const { deployedBytecode, storageLayout } = build("Token", "Tokens");
  const balances = storageLayout.storage.find(({ label }) => label === "_balances");
  return { code: deployedBytecode.object, balances: Number(balances.slot) };
}

const made = { Batch: batch, JobScheduler: scheduler, PriceBuyer: example, Prize: example, Token: token };
console.log(JSON.stringify(made[name](), null, 1));
