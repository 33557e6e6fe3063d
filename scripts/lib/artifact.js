// Prints what is kept of a build, called by scripts/contracts with its directory and a name: of the scheduler its ABI
// and the bytecode to deploy, of the harness Batch its code and how its functions are called.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const [out, name] = process.argv.slice(2);
const file = path.join(out, `${name}.sol`, `${name}.json`);
const { abi, bytecode, deployedBytecode, methodIdentifiers } = JSON.parse(fs.readFileSync(file, "utf8"));
if (Object.keys(bytecode.linkReferences).length > 0) {
  throw new Error(`${name} is meant to be whole: what it deploys would lack a library`);
}
if (name === "Batch") {
  const selectors = Object.entries(methodIdentifiers).map(([signature, selector]) => [signature.split("(")[0], selector]);
  const { steps, verdicts } = Object.fromEntries(selectors);
  console.log(JSON.stringify({ steps, verdicts, code: deployedBytecode.object }, null, 1));
} else {
  console.log(JSON.stringify({ abi, bytecode: bytecode.object }, null, 1));
}
