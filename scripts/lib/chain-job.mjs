// A job as the contract's events tell it, rebuilt and checked by the rules of docs/verification.md and the
// documentation of contracts/src/IJobScheduler.sol: what a verdict is made of. Pure: no chain, no files.

import { AbiCoder, concat, getBytes, hexlify, keccak256, sha256 } from "ethers";

import { decide, unpack, unpackSummary } from "./verdict.mjs";

const METHODS = ["hash", "kmeans", "ball", "near"];

/** What a run may take beyond its timeout before commits close, in seconds. */
const RUN_MARGIN = 60n;

/** Whose openings open nothing. */
const NOBODY = "0x".padEnd(42, "0");

const encode = (types, values) => AbiCoder.defaultAbiCoder().encode(types, values);
const ascending = (numbers) => [...numbers].sort((a, b) => a - b);

/** The runs that a bitmap names. */
const members = (bits) => Array.from({ length: 32 }, (_, seat) => seat).filter((seat) => (bits >> BigInt(seat)) & 1n);

/** The fields of terms in the order of the interface, with their bytes; the allow-list comes after all others. */
const TERMS = [
  ["concurrency", "uint8", 1],
  ["confidence", "uint8", 1],
  ["toleranceKib", "uint32", 4],
  ["relativePermille", "uint16", 2],
  ["method", "uint8", 1],
  ["deterministic", "bool", 1],
  ["acceptance", "uint8", 1],
  ["price", "uint96", 12],
  ["bond", "uint96", 12],
  ["keeperFee", "uint96", 12],
  ["open", "uint32", 4],
  ["timeout", "uint32", 4],
  ["run", "uint32", 4],
  ["reveal", "uint32", 4],
  ["liveLogs", "bool", 1],
  ["allowList", "address[]", 0],
  ["minPaid", "uint96", 12],
  ["escalationLimit", "uint8", 1],
  ["parent", "bytes32", 32],
  ["requireWork", "bool", 1],
  ["cpuPermille", "uint16", 2],
  ["canonical", "uint8", 1],
  ["summary", "bytes32", 32],
  ["audit", "bytes32", 32],
];
const TERMS_TYPE = `tuple(${TERMS.map(([name, type]) => `${type} ${name}`).join(",")})`;

/** Packed terms as the interface describes them: their fields, and their revision. */
export function unpackTerms(packed) {
  const bytes = getBytes(packed);
  const terms = {};
  let at = 0;
  for (const [name, type, width] of TERMS) {
    const field = hexlify(bytes.slice(at, at + width));
    at += width;
    if (at > bytes.length) throw new Error("terms are too short");
    if (type === "bytes32") terms[name] = field;
    else if (type !== "address[]") terms[name] = type === "bool" ? BigInt(field) !== 0n : BigInt(field);
  }
  if ((bytes.length - at) % 20 !== 0) throw new Error("terms end within an address");
  terms.allowList = [];
  for (; at < bytes.length; at += 20) terms.allowList.push(hexlify(bytes.slice(at, at + 20)));
  return { terms, revision: keccak256(encode([TERMS_TYPE], [terms])) };
}

/** Events that may follow a job's end. Seats get slots whenever somebody pays for them. */
const LATE = new Set(["Remarked", "Unpacked"]);

export class ChainJob {
  /** Says what no contract that keeps to the rules would have emitted. */
  problems = [];
  terms = null;
  /** By number: {node, hasFailed, commitment, opening}. */
  seats = new Map();
  /** {openings, accepted, keeper, ...place}, once posted. */
  posted = null;
  /** The event that ended the job without a verdict. */
  ended = null;
  /** How far the audit is: none, undrawn, spared or drawn. */
  audit = "none";
  #commitBy = null;
  #changedAt = null;

  /** `domain`: {chainId, contract}. */
  constructor(domain, job) {
    this.domain = domain;
    this.job = job;
  }

  /** Takes the next event: {name, args, at, place}, `at` being the time of its block. */
  apply(event) {
    const { name, at, args } = event;
    this.#where = `${name} in block ${event.place.block}`;
    if (name !== "Submitted" && this.terms === null) {
      throw new Error(`the job's first event is ${this.#where}, not its submission`);
    }
    if (!LATE.has(name) && (this.posted || this.ended)) this.#problem("comes after the job's end");
    switch (name) {
      case "Submitted":
        this.#submitted(args);
        break;
      case "DealUpdated":
        if (this.seats.size > 0) this.#problem("changes terms under which a seat was filled");
        this.#agree(unpackTerms(args.terms).terms);
        break;
      case "BidAccepted":
      case "SeatTaken":
        this.#seated(args, at);
        break;
      case "FailureReported":
        this.#failed(args, at);
        break;
      case "Committed":
        this.#committed(args, at);
        break;
      case "SecretPublished":
        this.#drawn(args, at);
        break;
      case "Revealed":
        this.#revealed(args, at);
        break;
      case "VerdictPosted":
        this.#judged(args, at, event.place);
        break;
      case "Cancelled":
      case "Stopped":
      case "Expired":
        this.ended = name;
        break;
      default:
        // Bids, remarks and slots change nothing that a verdict is made of.
        break;
    }
  }

  /** The verdict of the rules over the openings of the log: nodes instead of runs. */
  verdict() {
    const opened = ascending(this.seats.keys()).map((seat) => this.seats.get(seat));
    const salts = opened.flatMap(({ opening }) => (opening ? [opening.salt] : []));
    const beacon = keccak256(concat(salts));
    const key = new Map(opened.map((seat) => [seat, keccak256(concat([beacon, seat.node]))]));
    const order = opened.sort((a, b) => (key.get(a) < key.get(b) ? -1 : 1));
    const runs = order.map(({ opening }) => ({
      output: opening && opening.resultHash,
      exitCode: opening && opening.exitCode,
      profile: opening && this.#read(unpack, opening.fingerprint),
      summary: opening && this.#read(unpackSummary, opening.summary),
    }));
    const terms = { ...this.terms, method: METHODS[this.terms.method] };
    const { outcome, accepted, rejected, absent, note } = decide(terms, runs);
    const nodes = (indices) => indices.map((index) => order[index].node).sort();
    return { outcome, accepted: nodes(accepted), rejected: nodes(rejected), absent: nodes(absent), note };
  }

  /** What was posted, in the same words. */
  claim() {
    const { accepted: bits, openings: _, ...rest } = this.posted;
    const unknown = members(bits).filter((seat) => !this.seats.has(seat));
    if (unknown.length > 0) this.problems.push(`the verdict accepts seats that nobody has: ${unknown.join(", ")}`);
    const accepted = members(bits).flatMap((seat) => this.seats.get(seat)?.node ?? []).sort();
    return { outcome: bits === 0n ? "inconclusive" : "verdict", accepted, ...rest };
  }

  #where = "";

  #problem(what) {
    this.problems.push(`${this.#where} ${what}`);
  }

  /** What a word says, as `unpacked` tells it. */
  #read(unpacked, word) {
    try {
      return unpacked(word);
    } catch (error) {
      this.problems.push(error.message);
      return null;
    }
  }

  #submitted({ requester, nonce, terms: packed, spec }) {
    if (this.terms !== null) this.#problem("submits the job again");
    const { terms, revision } = unpackTerms(packed);
    this.#agree(terms);
    const { chainId, contract } = this.domain;
    const types = ["uint256", "address", "address", "uint64", "bytes32", "bytes32"];
    const id = keccak256(encode(types, [chainId, contract, requester, nonce, sha256(spec), revision]));
    if (id !== this.job) this.#problem(`has terms and a spec whose job id is ${id}`);
    if (METHODS[terms.method] === undefined) throw new Error(`${this.#where} names an unknown method, ${terms.method}`);
  }

  #agree(terms) {
    this.terms = terms;
    this.audit = BigInt(terms.audit) === 0n ? "none" : "undrawn";
  }

  /** How many seats are asked for: those of the second wave too, once it was drawn. */
  get #asked() {
    return this.terms.concurrency + (this.audit === "drawn" ? BigInt(this.terms.audit) & 31n : 0n);
  }

  get #quorum() {
    const [majority, { confidence }] = [this.#asked / 2n + 1n, this.terms];
    return confidence > majority ? confidence : majority;
  }

  /** The draw over the secret and the commitments, ascending by seat. */
  #drawn({ secret }, at) {
    const word = BigInt(this.terms.audit);
    const drawBy = this.#revealBy(at);
    if (this.audit !== "undrawn") this.#problem("draws an audit that is not due");
    if (drawBy === null || at > drawBy) this.#problem("is out of the time for the draw");
    if (BigInt(keccak256(secret)) >> 16n !== word >> 16n) this.#problem("has another secret than the terms commit to");
    const commitments = ascending(this.seats.keys()).flatMap((number) => this.seats.get(number).commitment ?? []);
    const draw = BigInt(keccak256(concat([secret, ...commitments]))) % 1000n;
    this.#changedAt = at;
    if (draw < ((word >> 5n) & 0x7ffn)) [this.audit, this.#commitBy] = ["drawn", null];
    else this.audit = "spared";
  }

  #seated({ node, seat: number }, at) {
    const seat = Number(number);
    const held = this.seats.get(seat);
    if (number >= this.#asked) this.#problem(`gives seat ${seat} of ${this.#asked}`);
    if (held && !held.hasFailed) this.#problem(`gives seat ${seat} away, which ${held.node} has`);
    if (held && at > this.#refillBy()) this.#problem(`gives seat ${seat} to another node too late`);
    if ([...this.seats.values()].some((other) => other.node === node.toLowerCase())) {
      this.#problem(`gives ${node} a second seat`);
    }
    this.seats.set(seat, { node: node.toLowerCase(), hasFailed: false, commitment: null, opening: null });
    this.#changedAt = at;
    if (this.#commitBy === null && BigInt(this.seats.size) === this.#asked) {
      this.#commitBy = at + this.terms.run;
    }
  }

  #failed({ node, seat: number }, at) {
    const seat = this.seats.get(Number(number));
    if (seat?.node !== node.toLowerCase() || seat.commitment || seat.hasFailed) {
      this.#problem(`is of ${node}, which has no such seat, or has committed`);
      return;
    }
    this.#beforeClose(at);
    seat.hasFailed = true;
    this.#changedAt = at;
  }

  #committed({ node, commitment }, at) {
    const seat = [...this.seats.values()].find((held) => held.node === node.toLowerCase());
    if (!seat || seat.commitment || seat.hasFailed) {
      this.#problem(`is of ${node}, which has no seat, has failed, or has committed before`);
      return;
    }
    this.#beforeClose(at);
    seat.commitment = commitment;
    this.#changedAt = at;
  }

  #beforeClose(at) {
    const isOpen = this.#commitBy !== null && this.audit !== "spared";
    if (!isOpen || at > this.#commitBy) this.#problem("is out of the time for runs");
  }

  #revealed({ seat, opening }, at) {
    const revealBy = this.#revealBy(at);
    if (revealBy === null || at > revealBy) this.#problem("is out of the time for reveals");
    if (this.audit === "undrawn") this.#problem("reveals before the audit was drawn");
    this.#open(seat, this.seats.get(Number(seat))?.node ?? NOBODY, opening);
  }

  #judged({ openings, accepted, keeper }, at, place) {
    const revealBy = this.#revealBy(at);
    if (revealBy === null) this.#problem("comes before commits are closed");
    if (this.audit === "undrawn") this.#problem("comes before the audit was drawn");
    const isLate = revealBy !== null && at > revealBy;
    for (const { seat, node, opening } of openings) {
      const isNew = !this.seats.get(Number(seat))?.opening;
      if (isLate && isNew) this.#problem(`brings the opening of seat ${seat}, which did not reveal in time`);
      this.#open(seat, node, opening);
    }
    const held = [...this.seats.values()];
    const [opened, committed] = ["opening", "commitment"].map((what) => held.filter((seat) => seat[what]).length);
    if (!isLate && opened !== committed) {
      this.#problem(`is over ${opened} of ${committed} commitments, before the deadline of reveals`);
    }
    if (BigInt(opened) < this.#quorum) this.#problem(`is over ${opened} runs and needs ${this.#quorum}`);
    this.posted = { openings, accepted, keeper: keeper.toLowerCase(), ...place };
  }

  /** Keeps an opening if it is the one that the seat committed to. */
  #open(number, node, opening) {
    const seat = this.seats.get(Number(number));
    const { chainId, contract } = this.domain;
    const { resultHash, outputRoot, exitCode, fingerprint, summary, salt } = opening;
    const words = ["bytes32", "bytes32", "int32", "bytes32", "bytes32", "bytes32"];
    const types = ["uint256", "address", "bytes32", "uint8", "address", ...words];
    const said = [resultHash, outputRoot, exitCode, fingerprint, summary, salt];
    const values = [chainId, contract, this.job, number, node, ...said];
    const commitment = keccak256(encode(types, values));
    if (seat?.node !== node.toLowerCase() || seat.commitment !== commitment) {
      this.#problem(`brings an opening of seat ${number} that is not what ${node} committed to there`);
    } else {
      seat.opening = opening;
    }
  }

  /** Until when a failed seat can be given away: what is left must hold a whole run. */
  #refillBy() {
    return this.#commitBy - this.terms.timeout - RUN_MARGIN;
  }

  /** The deadline of reveals as of `at`; null while some seat can still commit. */
  #revealBy(at) {
    if (this.#commitBy === null) return null;
    if (this.audit === "spared") return this.#changedAt + this.terms.reveal;
    const held = [...this.seats.values()];
    const hasFailures = held.some((seat) => seat.hasFailed);
    const isDone = held.every((seat) => seat.hasFailed || seat.commitment);
    if (isDone && (!hasFailures || this.#changedAt > this.#refillBy())) return this.#changedAt + this.terms.reveal;
    const deadline = isDone ? this.#refillBy() : this.#commitBy;
    return at > deadline ? deadline + this.terms.reveal : null;
  }
}
