// The parts of the dashboard that need no browser: what its form sends, and which differences it tells of.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

// The files are modules to a browser, and to Node where a package says so.
const dir = mkdtempSync(join(tmpdir(), "dashboard-"));
after(() => rmSync(dir, { recursive: true }));
cpSync(fileURLToPath(new URL("../../src/api/dashboard", import.meta.url)), dir, { recursive: true });
writeFileSync(join(dir, "package.json"), '{"type":"module"}');
globalThis.sessionStorage = { getItem: () => null };
const load = (name) => import(pathToFileURL(join(dir, name)));
const { Requests } = await load("submit.js");
const { differing } = await load("outputs.js");
const { amount, event, unit, units } = await load("words.js");

const TOKEN = { kind: "token", address: "0x7070707070707070707070707070707070707070", symbol: "TEST", decimals: 6 };
const NAMELESS = { ...TOKEN, symbol: null };

const FORM = {
  image: "assay/demo:1", command: "echo 'a b'", concurrency: "3", confidence: "2", memory: "512", timeout: "30", price: "0",
  method: "ball",
};

/** A node that proposes another deal whenever it is asked, and answers submissions with these statuses; 0 is no answer. */
function node(...statuses) {
  const sent = [];
  let proposed = 0;
  const { asset } = node;
  globalThis.fetch = async (path, { method, headers, body }) => {
    if (method === "GET") {
      if (path === "/api/v1/node") return Response.json({ asset });
      const [place, query] = path.split("?");
      assert.equal(place, "/api/v1/defaults");
      sent.price = new URLSearchParams(query).get("price");
      proposed += 1;
      return Response.json({ deal: { bond: String(proposed) }, resources: { cpu_millis: 1000 } });
    }
    sent.push({ key: headers["Idempotency-Key"], ...JSON.parse(body) });
    const status = statuses.shift() ?? 200;
    if (status === 0) throw new TypeError("the connection is lost");
    return Response.json(status === 200 ? { job: "0x01" } : { error: { message: "no" } }, { status });
  };
  return sent;
}

test("what is sent again unchanged is the same request, and what was changed is another", async () => {
  // A node that is busy after its answer was lost may have carried it out.
  const sent = node(0, 429, 500);
  const requests = new Requests();
  for (let tries = 0; tries < 3; tries += 1) await assert.rejects(requests.send(FORM));
  assert.deepEqual(await requests.send({ ...FORM }), { job: "0x01" });
  assert.deepEqual(sent[0].command, ["echo", "a b"]);
  assert.deepEqual(sent[0].deal, { bond: "1", method: "ball", concurrency: 3, confidence: 2 });
  for (const again of sent.slice(1)) assert.deepEqual(again, sent[0]);
  for (const [name, value] of [["image", "other:1"], ["command", "true"], ["method", "hash"], ["price", "1"]]) {
    await requests.send({ ...FORM, [name]: value });
  }
  // Back to the first: since then, other jobs were sent.
  await requests.send(FORM);
  assert.equal(new Set(sent.map(({ key }) => key)).size, 6);
});

test("a request that the node refused is made anew", async () => {
  const sent = node(409);
  const requests = new Requests();
  await assert.rejects(requests.send(FORM), { status: 409 });
  await requests.send(FORM);
  assert.notEqual(sent[1].key, sent[0].key);
  assert.deepEqual(sent.map(({ deal }) => deal.bond), ["1", "2"]);
});

test("money is shown and read in the asset of the deployment", () => {
  assert.equal(amount("1500000", TOKEN), "1.5 TEST");
  assert.equal(amount("7", { ...TOKEN, decimals: 0 }), "7 TEST");
  assert.equal(amount("7", NAMELESS), "7 units of 0x70707070");
  for (const ether of [undefined, { kind: "ether" }]) {
    assert.equal(amount("1500000", ether), "0.0015 gwei");
    assert.equal(amount("10000000000000000000", ether), "10 ether");
    assert.deepEqual([unit(ether), units("0.5", ether)], ["ether", "500000000000000000"]);
  }
  assert.deepEqual([unit(TOKEN), units("1.5", TOKEN), units("0.0000010", TOKEN)], ["TEST", "1500000", "1"]);
  assert.deepEqual([unit(NAMELESS), units("7", NAMELESS)], ["smallest units of 0x70707070", "7"]);
  for (const bad of ["0.0000001", "-1", "", "1e6", "."]) assert.equal(units(bad, TOKEN), null, bad);
  assert.equal(units("0.5", NAMELESS), null);
  assert.equal(event({ bid_placed: { price: "2500000" } }, TOKEN), "bid 2.5 TEST");
  assert.equal(event({ bid_placed: { price: "1" } }), "bid 1 wei");
});

test("a price in the form is so many tokens", async () => {
  node.asset = TOKEN;
  const sent = node();
  await new Requests().send({ ...FORM, price: "1.5" });
  assert.equal(sent.price, "1500000");
  await assert.rejects(new Requests().send({ ...FORM, price: "a lot" }), /no amount in TEST/);
  delete node.asset;
});

const files = (entries) => new Map(Object.entries(entries).map(([name, content]) =>
  [name, typeof content === "string" ? new TextEncoder().encode(content) : content]));
const compared = (one, other) => differing(files(one), files(other));

test("what takes no part in the verdict is no difference", () => {
  const one = { stdout: "a\n", stderr: "at 10:00\n", "trace.csv": "t_ms\n1\n" };
  assert.deepEqual(compared(one, { ...one, stderr: "at 10:01\n", "trace.csv": "t_ms\n2\n" }), []);
  assert.deepEqual(compared(one, { ...one, stdout: "b\n" }), [{ name: "stdout", sides: [["a", ""], ["b", ""]], note: null }]);
  assert.deepEqual(compared({ stdout: "" }, { stdout: "", "outputs/stderr": "x" }).map(({ name }) => name), ["outputs/stderr"]);
});

test("a difference that is not shown is told of", () => {
  const head = "x\n".repeat(400);
  const note = (one, other) => compared({ stdout: one }, { stdout: other })[0].note;
  assert.match(note(`${head}a`, `${head}b`), /differ from byte 800 on, which is not shown/);
  assert.match(note(head, `${head}b`), /differ from byte 800 on/);
  assert.equal(note(`y${head}a`, `${head}b`), "Only the first 400 lines are shown.");
  assert.match(note("a".repeat(70_000), "b".repeat(70_000)), /differ from byte 0 on/);
  assert.match(note(new Uint8Array([1, 255]), new Uint8Array([1, 254])), /differ from byte 1 on/);
  assert.match(compared({}, { stdout: "(no such file)" })[0].note, /Only one of the results/);
  // A byte order mark is a difference like any other.
  assert.equal(note("\ufeffa", "a"), null);
});
