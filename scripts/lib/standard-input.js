// The compiler's standard JSON input of JobScheduler, by which an explorer verifies what is deployed: the sources and the
// settings that the build in a directory was made with.
//
//   standard-input.js OUT           prints it
//   standard-input.js --check FILE  compiles FILE, and fails if the bytecode is not that of the artefact
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const TARGET = ["contracts/src/JobScheduler.sol", "JobScheduler"];
const ARTIFACT = "contracts/artifacts/JobScheduler.json";

function inputOf(out) {
  const { metadata } = JSON.parse(fs.readFileSync(path.join(out, "JobScheduler.sol", "JobScheduler.json"), "utf8"));
  // No source imports what a remapping names, and the target is the compiler's answer, not a setting.
  const { compilationTarget, remappings, ...settings } = metadata.settings;
  const sources = Object.keys(metadata.sources).sort().map((file) => [file, { content: fs.readFileSync(file, "utf8") }]);
  settings.outputSelection = { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } };
  return { language: metadata.language, sources: Object.fromEntries(sources), settings };
}

function check(file) {
  const solc = require("solc");
  const { contracts, errors = [] } = JSON.parse(solc.compile(fs.readFileSync(file, "utf8")));
  const failed = errors.filter(({ severity }) => severity === "error");
  if (failed.length > 0) throw new Error(failed[0].formattedMessage);
  const [source, name] = TARGET;
  const made = `0x${contracts[source][name].evm.bytecode.object}`;
  if (made !== JSON.parse(fs.readFileSync(ARTIFACT, "utf8")).bytecode) {
    throw new Error(`${file} gives other bytecode than ${ARTIFACT}: an explorer would not recognise the contract`);
  }
}

const [first, file] = process.argv.slice(2);
if (first === "--check") check(file);
else console.log(JSON.stringify(inputOf(first), null, 1));
