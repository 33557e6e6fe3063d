// Questions to an Ethereum node over HTTP, each bounded in time and in what is read.

/** Longest wait for one answer, in milliseconds. */
const PATIENCE = 20_000;

/** Longest answer that is read, in bytes: a thousand blocks full of events of one job are far below. */
const MAX_BYTES = 64 * 1024 * 1024;

/** Most blocks asked for at a time: what public endpoints answer. */
const RANGE = 1000;

export class RpcError extends Error {}

export class Rpc {
  #url;

  constructor(url) {
    this.#url = url;
    // Providers put secrets into paths and user names.
    this.shown = `${url.protocol}//${url.host}`;
  }

  async ask(method, params) {
    const failed = (why, cause) => new RpcError(`${this.shown} does not answer ${method}: ${why}`, { cause });
    let text;
    try {
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
      const headers = { "content-type": "application/json" };
      const signal = AbortSignal.timeout(PATIENCE);
      const response = await fetch(this.#url, { method: "POST", headers, body, signal });
      text = await readBounded(response);
      if (!response.ok && !text.startsWith("{")) throw new Error(`HTTP status ${response.status}`);
    } catch (error) {
      throw failed(error.cause?.message || error.cause?.code || error.message, error);
    }
    let answer;
    try {
      answer = JSON.parse(text);
    } catch (error) {
      throw failed(`its answer is no JSON: ${JSON.stringify(text.slice(0, 60))}`, error);
    }
    if (answer?.error) throw failed(`error ${answer.error.code}: ${String(answer.error.message).slice(0, 200)}`);
    if (answer?.result === undefined) throw failed("its answer has no result");
    return answer.result;
  }

  /** A question whose answer is a number. */
  async number(method, params) {
    return quantity(await this.ask(method, params), method);
  }

  /** The time of a block, in Unix seconds. */
  async time(block) {
    const found = await this.ask("eth_getBlockByNumber", [hex(block), false]);
    return quantity(found?.timestamp, `block ${block}`);
  }

  /** Every log of `contract` whose second topic is `job`, from block `first` to the newest, in order. */
  async logs(contract, job, first) {
    const last = await this.number("eth_blockNumber", []);
    const logs = [];
    for (let from = first; from <= last; from += BigInt(RANGE)) {
      const end = from + BigInt(RANGE) - 1n;
      const to = end < last ? end : last;
      const filter = { address: contract, topics: [null, job], fromBlock: hex(from), toBlock: hex(to) };
      const found = await this.ask("eth_getLogs", [filter]);
      if (!Array.isArray(found)) throw new RpcError(`${this.shown} answers eth_getLogs with no list`);
      logs.push(...found.map((log) => checked(log, contract, job, this.shown)));
    }
    return { logs: logs.sort((a, b) => (a.block === b.block ? a.index - b.index : Number(a.block - b.block))), last };
  }
}

/** A log as far as it is used, if it is one that was asked for. */
function checked(log, contract, job, shown) {
  const isAskedFor = log?.address?.toLowerCase?.() === contract && log.topics?.[1]?.toLowerCase?.() === job;
  const isHex = (text) => typeof text === "string" && /^0x([0-9a-f]{2})*$/i.test(text);
  if (!isAskedFor || !log.topics.every(isHex) || !isHex(log.data)) {
    throw new RpcError(`${shown} answers eth_getLogs with something that was not asked for`);
  }
  const [block, index] = [log.blockNumber, log.logIndex].map((number) => quantity(number, "a log"));
  return { block, index: Number(index), transaction: log.transactionHash, topics: log.topics, data: log.data };
}

async function readBounded(response) {
  const parts = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > MAX_BYTES) throw new Error(`its answer is longer than ${MAX_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

const hex = (number) => `0x${number.toString(16)}`;

function quantity(text, where) {
  if (typeof text !== "string" || !/^0x[0-9a-f]{1,16}$/i.test(text)) {
    throw new RpcError(`the answer about ${where} has ${JSON.stringify(text)} where a number should be`);
  }
  return BigInt(text);
}
