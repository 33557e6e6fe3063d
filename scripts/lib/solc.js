#!/usr/bin/env node
// The Solidity compiler of the lock file, with as much of a native solc's command line as forge asks for: --version
// and --standard-json, with the input on standard input. Exits with 1 when asked for anything else.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

// Beside this file's repository, whatever directory forge runs it in.
const solc = require(path.join(__dirname, "..", "..", "node_modules", "solc"));

const asked = process.argv.slice(2);
if (asked.includes("--version")) {
  // forge reads the version from the last line.
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (asked.includes("--standard-json")) {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
} else {
  process.stderr.write(`error: solc.js knows --version and --standard-json, not: ${asked.join(" ")}\n`);
  process.exitCode = 1;
}
