// Prints what is embedded of a build in the directory given: {abi, bytecode}. Called by scripts/contracts.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const file = path.join(process.argv[2], "JobScheduler.sol", "JobScheduler.json");
const { abi, bytecode } = JSON.parse(fs.readFileSync(file, "utf8"));
if (Object.keys(bytecode.linkReferences).length > 0) {
  throw new Error("the scheduler is meant to be whole: what it deploys would lack a library");
}
console.log(JSON.stringify({ abi, bytecode: bytecode.object }, null, 1));
