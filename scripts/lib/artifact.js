// Prints what is embedded of a build in DIR: {abi, bytecode, libraries}. A library is linked by writing its address, 40
// hex digits, over each of its `placeholder` in the bytecode. Called by scripts/contracts.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const out = process.argv[2];
const read = (name) => JSON.parse(fs.readFileSync(path.join(out, `${name}.sol`, `${name}.json`), "utf8"));

const { abi, bytecode } = read("JobScheduler");
const libraries = {};
for (const [source, names] of Object.entries(bytecode.linkReferences)) {
  for (const [name, [place]] of Object.entries(names)) {
    // Two characters a byte, after 0x.
    const start = 2 + 2 * place.start;
    const placeholder = bytecode.object.slice(start, start + 2 * place.length);
    libraries[name] = { source, placeholder, bytecode: read(name).bytecode.object };
  }
}
console.log(JSON.stringify({ abi, bytecode: bytecode.object, libraries }, null, 1));
