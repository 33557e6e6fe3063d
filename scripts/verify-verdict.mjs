#!/usr/bin/env node
// Recomputes a job's verdict from the events of the contract alone, and says whether it is the one posted there.
// Shares no code with the program or the contract, only the rules of docs/verification.md. Prints one JSON object.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

const USAGE = "node scripts/verify-verdict.mjs --rpc-url URL --contract ADDRESS [--first-block N] JOB";
const ARTIFACT = new URL("../contracts/artifacts/JobScheduler.json", import.meta.url);
const EXIT = { agrees: 0, differs: 1, unknown: 2 };

/** Why there is nothing to say about the verdict, and what to do about it. */
class Unknown extends Error {
  constructor(what, hint) {
    super(what);
    this.hint = hint;
  }
}

function settings(argv) {
  const options = Object.fromEntries(["rpc-url", "contract", "first-block"].map((name) => [name, { type: "string" }]));
  let parsed;
  try {
    parsed = parseArgs({ args: argv, options, allowPositionals: true });
  } catch (error) {
    throw new Unknown(error.message, USAGE);
  }
  const { values, positionals } = parsed;
  const job = positionals[0]?.toLowerCase();
  const contract = values.contract?.toLowerCase();
  const first = values["first-block"] ?? "0";
  if (positionals.length !== 1 || !/^0x[0-9a-f]{64}$/.test(job)) {
    throw new Unknown("one job must be named, by its whole id: 0x and 64 hex digits", USAGE);
  }
  if (!/^0x[0-9a-f]{40}$/.test(contract ?? "")) {
    throw new Unknown("--contract must be an address: 0x and 40 hex digits", USAGE);
  }
  if (!/^[0-9]{1,15}$/.test(first)) throw new Unknown(`--first-block ${first} is no number of a block`, USAGE);
  const url = URL.canParse(values["rpc-url"] ?? "") ? new URL(values["rpc-url"]) : null;
  if (!["http:", "https:"].includes(url?.protocol)) {
    throw new Unknown("--rpc-url must be an endpoint such as http://127.0.0.1:8545", USAGE);
  }
  return { job, contract, url, first: BigInt(first) };
}

/** The parts that need what npm installs. */
async function load() {
  try {
    const [{ Interface }, { ChainJob }, { Rpc, RpcError }] = await Promise.all(
      ["ethers", "./lib/chain-job.mjs", "./lib/rpc.mjs"].map((name) => import(name)),
    );
    return { Interface, ChainJob, Rpc, RpcError };
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Unknown("the npm package ethers is not installed", "run npm ci in the repository");
  }
}

async function verify({ job, contract, url, first }, { Interface, ChainJob, Rpc }) {
  const rpc = new Rpc(url);
  const chainId = await rpc.number("eth_chainId", []);
  if ((await rpc.ask("eth_getCode", [contract, "latest"])) === "0x") {
    throw new Unknown(`there is no contract at ${contract} on chain ${chainId}`, "check --contract and --rpc-url");
  }
  const { logs, last } = await rpc.logs(contract, job, first);
  const looked = `blocks ${first} to ${last} of chain ${chainId}`;
  if (logs.length === 0) {
    throw new Unknown(`contract ${contract} has no event of job ${job} in ${looked}`, "check the job, --contract and --first-block");
  }
  const scheduler = new Interface(JSON.parse(readFileSync(ARTIFACT, "utf8")).abi);
  const chainJob = new ChainJob({ chainId, contract }, job);
  const times = new Map();
  for (const log of logs) {
    if (!times.has(log.block)) times.set(log.block, await rpc.time(log.block));
    chainJob.apply(decoded(scheduler, log, times.get(log.block)));
  }
  if (!chainJob.posted) {
    const state = chainJob.ended ? `ended without one (${chainJob.ended})` : "has not ended";
    throw new Unknown(`job ${job} has no verdict to check: it ${state} by block ${last}`, "ask again once it is decided");
  }
  const found = chainJob.verdict();
  const posted = chainJob.claim();
  const { problems } = chainJob;
  const isSame = found.outcome === posted.outcome && `${found.accepted}` === `${posted.accepted}`;
  return { job, agrees: isSame && problems.length === 0, ...found, posted, problems };
}

function decoded(scheduler, log, at) {
  const place = { block: Number(log.block), transaction: log.transaction };
  let event = null;
  try {
    event = scheduler.parseLog(log);
  } catch {
    // Told below.
  }
  if (event) return { name: event.name, args: event.args, at, place };
  throw new Unknown(
    `an event of the job in block ${place.block} is none of this version's contract`,
    "check --contract, or use the script of the contract's version",
  );
}

try {
  const given = settings(process.argv.slice(2));
  const verdict = await verify(given, await load());
  console.log(JSON.stringify(verdict));
  process.exitCode = verdict.agrees ? EXIT.agrees : EXIT.differs;
} catch (error) {
  const hint = error.hint ?? "check that --rpc-url is a node of the contract's chain, and that it has old events";
  console.error(`error: ${error.message}\nhint: ${hint}`);
  process.exitCode = EXIT.unknown;
}
