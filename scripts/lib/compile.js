// Runs in a container, beside soljson.js: compiles the sources below /inputs with the settings in /inputs/input.json, and
// leaves the code that deploys the scheduler in /outputs. The list of sources is that of the settings, and their content is
// that of the files.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const soljson = require("./soljson.js");

const input = JSON.parse(fs.readFileSync("/inputs/input.json", "utf8"));
for (const [name, source] of Object.entries(input.sources)) {
  source.content = fs.readFileSync(path.join("/inputs", name), "utf8");
}
// No callback: whatever is imported must be among the sources.
const compile = soljson.cwrap("solidity_compile", "string", ["string", "number", "number"]);
const output = JSON.parse(compile(JSON.stringify(input), 0, 0));
const errors = (output.errors ?? []).filter(({ severity }) => severity === "error");
for (const { formattedMessage } of errors) process.stderr.write(`${formattedMessage}\n`);
if (errors.length > 0) process.exit(1);
const { object } = output.contracts["contracts/src/JobScheduler.sol"].JobScheduler.evm.bytecode;
fs.writeFileSync("/outputs/JobScheduler.bin", `0x${object}\n`);
