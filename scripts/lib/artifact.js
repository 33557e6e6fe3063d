// Prints what is kept of a build, called by scripts/contracts with its directory and a name: of the scheduler its ABI,
// the bytecode to deploy and the hashes of the code that a deployment leaves; of the harness Batch its code and how its
// functions are called. Fails when the two contracts of the scheduler are not what one at one address must be.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { keccak256 } = require("ethers");

/** What a contract may have, and the code that makes one, by EIP-170 and EIP-3860. */
const MAX_CODE_BYTES = 24_576;
const MAX_CREATION_BYTES = 49_152;

const [out, name] = process.argv.slice(2);

function build(of) {
  const built = JSON.parse(fs.readFileSync(path.join(out, `${of}.sol`, `${of}.json`), "utf8"));
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

function scheduler() {
  const [common, rare, face] = ["JobScheduler", "RareSteps", "IJobScheduler"].map(build);
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  if (!same([...functions(common), ...functions(rare)].sort(), functions(face))) {
    throw new Error("JobScheduler and RareSteps together must have each function of IJobScheduler, once, and no other");
  }
  if (layout(common).length === 0 || !same(layout(common), layout(rare))) {
    throw new Error("JobScheduler and RareSteps work on one storage: both must lay it out as Storage does");
  }
  for (const { deployedBytecode: code } of [common, rare]) {
    if (Object.keys(code.immutableReferences ?? {}).length > 0) {
      throw new Error("an immutable makes the code differ by deployment, and it could not be checked by its hash");
    }
    if (bytes(code) > MAX_CODE_BYTES) throw new Error(`${bytes(code)} bytes of code: ${MAX_CODE_BYTES} are allowed`);
  }
  if (bytes(common.bytecode) > MAX_CREATION_BYTES) {
    throw new Error(`${bytes(common.bytecode)} bytes make the contract: ${MAX_CREATION_BYTES} are allowed`);
  }
  const code = { scheduler: keccak256(common.deployedBytecode.object), rareSteps: keccak256(rare.deployedBytecode.object) };
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

const made = { Batch: batch, JobScheduler: scheduler, PriceBuyer: example, Prize: example };
console.log(JSON.stringify(made[name](), null, 1));
