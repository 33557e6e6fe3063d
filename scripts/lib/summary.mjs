// The summary word of a run's numbers by the rules of docs/verification.md: a second opinion on the program, with which it
// shares no code. Integers only (BigInt). Pure: no files.

import { createHash } from "node:crypto";

const LANE = 1n << 25n;
const STEPS = 64n;
const VOID = (1n << 256n) - 1n;

/**
 * The word of the numbers in `text`, apart by white space; VOID when they are no summary. `kinds`: an array of "exact",
 * "rel:PPMppm" and "abs:TOLERANCE".
 */
export function summary(kinds, text) {
  if (Buffer.byteLength(text) > 1024 || !/^[\t\n\f\r\x20-\x7e]*$/.test(text)) return VOID;
  const numbers = text.split(/[\t\n\f\r ]+/).filter((number) => number !== "");
  if (numbers.length !== kinds.length) return VOID;
  let word = 0n;
  for (const [k, number] of numbers.entries()) {
    const value = number.length <= 40 ? lane(kinds[k], number) : null;
    if (value === null) return VOID;
    word |= value << BigInt(25 * k);
  }
  return word;
}

function lane(kind, text) {
  if (kind === "exact") {
    const hash = createHash("sha256").update(text).digest();
    return (BigInt(hash.readUInt32BE(0)) % (1n << 17n)) << 8n;
  }
  const number = fraction(text);
  if (number === null) return null;
  const { isNegative, over, under } = number;
  const [name, tolerance] = kind.split(":");
  if (name === "abs") {
    const most = fraction(tolerance);
    const steps = rounded(STEPS * over * most.under, under * most.over) % LANE;
    return isNegative ? (LANE - steps) % LANE : steps;
  }
  if (over === 0n) return (3n * LANE) / 4n;
  const log = log2(over, under);
  const unit = log2(1_000_000n + BigInt(tolerance.replace("ppm", "")), 1_000_000n);
  const steps = rounded(STEPS * (log < 0n ? -log : log), unit) % LANE;
  return ((log < 0n ? LANE - steps : steps) + (isNegative ? LANE / 2n : 0n)) % LANE;
}

/** A decimal number without its sign, as a fraction; null for text that is none. */
function fraction(text) {
  const found = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/.exec(text);
  if (found === null) return null;
  const [, sign, whole, decimals = "", power = "0"] = found;
  const digits = whole + decimals;
  if (digits.length < 1 || digits.length > 40 || Math.abs(Number(power)) > 400) return null;
  const exponent = BigInt(Number(power) - decimals.length);
  const size = 10n ** (exponent < 0n ? -exponent : exponent);
  const over = BigInt(digits) * (exponent > 0n ? size : 1n);
  return { isNegative: sign === "-", over, under: exponent < 0n ? size : 1n };
}

/** Half away from zero, of numbers that are not negative. */
const rounded = (over, under) => (2n * over + under) / (2n * under);

/** floor(2^32 log2(over / under)), by squaring with 64 bits of fraction. */
function log2(over, under) {
  let power = BigInt(over.toString(2).length - under.toString(2).length);
  const scaled = (shift) => (power < 0n ? [over << (shift - power), under] : [over << shift, under << power]);
  const [above, below] = scaled(0n);
  if (above < below) power -= 1n;
  const [numerator, denominator] = scaled(64n);
  let mantissa = numerator / denominator;
  let log = power;
  for (let bit = 0; bit < 32; bit += 1) {
    mantissa = (mantissa * mantissa) >> 64n;
    const isTwo = mantissa >> 65n !== 0n;
    if (isTwo) mantissa >>= 1n;
    log = log * 2n + (isTwo ? 1n : 0n);
  }
  return log;
}
