// The verdict over a job's runs by the rules of docs/verification.md: a second opinion on the program and the contract,
// with which it shares no code. Integers only (BigInt). Pure: no chain, no files.

const ROW = 10;
const MAX_RUNS = 128;
const VOID = (1n << 256n) - 1n;
/** Values of a lane of a summary, which are a circle, and most that two lanes may be apart. */
const LANE = 1n << 25n;
const STEPS = 64n;

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0n);
const abs = (number) => (number < 0n ? -number : number);
const max = (a, b) => (a > b ? a : b);
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/**
 * The memory row, in KiB, the CPU time and the page faults of a word; null for "no fingerprint". Throws at a word that is
 * refused.
 */
export function unpack(word) {
  const bits = BigInt(word);
  if (bits === VOID) return null;
  if (bits >> 252n !== 0n) throw new RangeError(`fingerprint ${word} has one of its top four bits set`);
  const sample = (k) => ((bits >> BigInt(20 * k)) & 0xfffffn) * 256n;
  const row = Array.from({ length: ROW }, (_, k) => sample(k));
  return { row, cpuMs: (bits >> 200n) & 0xffffffffn, faults: unpackFaults(bits >> 232n) };
}

/** What 5 bits of exponent over 15 of fraction stand for. */
function unpackFaults(code) {
  const [exponent, fraction] = [code >> 15n, code & 0x7fffn];
  return exponent === 0n ? fraction : (0x8000n + fraction) << (exponent - 1n);
}

/** The ten lanes of a summary's word; null for "no summary". Throws at a word that is refused. */
export function unpackSummary(word) {
  const bits = BigInt(word);
  if (bits === VOID) return null;
  if (bits >> 250n !== 0n) throw new RangeError(`summary ${word} has one of its top six bits set`);
  return Array.from({ length: ROW }, (_, k) => (bits >> BigInt(25 * k)) % LANE);
}

/**
 * Which runs agree. `terms`: {confidence, toleranceKib, relativePermille, method, deterministic, requireWork,
 * cpuPermille}, numbers as BigInt, method "hash", "kmeans", "ball" or "near". `runs`: {output, exitCode, profile,
 * summary} in the order that settles ties, null where missing. Gives {outcome, accepted, rejected, absent, scores, note}; runs are named
 * by index.
 */
export function decide(terms, runs) {
  const n = BigInt(runs.length);
  const without = (isMissing) => runs.flatMap((run, index) => (isMissing(run) ? [index] : []));
  const isSane = n >= 1n && n <= MAX_RUNS && terms.confidence >= 1n && terms.confidence <= n;
  const isInRange = terms.relativePermille <= 1000n && terms.cpuPermille <= 1000n;
  const isWorkPossible = !terms.requireWork || terms.method === "hash" || terms.method === "near";
  if (!isSane || !isInRange || !isWorkPossible) return inconclusive([], "bad parameters");

  const kept = comparable(runs);
  if (terms.method === "near" || terms.requireWork) return related(terms, runs, kept);
  const withoutOutput = without((run) => run.output === null);
  const group = majority(kept);
  if (group) return agreed(terms, runs, group, withoutOutput, {}, "equal outputs");
  if (terms.deterministic || terms.method === "hash") return inconclusive(withoutOutput, "outputs disagree");

  const isAbsent = (run) => run.output === null || run.profile === null;
  const present = kept.flatMap((run, index) => (isAbsent(run) ? [] : [{ index, ...run.profile }]));
  const found = (terms.method === "kmeans" ? kmeans : ball)(terms, n, present);
  const absent = without(isAbsent);
  if (!found.accepted) return inconclusive(absent, found.note, found.scores);
  return agreed(terms, runs, found.accepted, absent, found.scores, "agreement");
}

/** The runs of the output that more than half of all brought, or null. */
function majority(runs, keyOf = (run) => run.output) {
  const groups = new Map();
  for (const [index, run] of runs.entries()) {
    if (run.output !== null) groups.set(keyOf(run), [...(groups.get(keyOf(run)) ?? []), index]);
  }
  return [...groups.values()].find((group) => 2 * group.length > runs.length) ?? null;
}

/** The runs that state the exit code of more than half of all; null where no code is that of so many. */
const ofOneExitCode = (runs) => majority(runs, (run) => BigInt(run.exitCode ?? 0));

/** The runs as they are compared: one with another exit code than most counts as one that brought nothing. */
function comparable(runs) {
  const stating = ofOneExitCode(runs);
  if (stating === null) return runs;
  const nothing = { output: null, profile: null, summary: null };
  return runs.map((run, index) => (stating.includes(index) ? run : nothing));
}

function inconclusive(absent, note, scores = {}) {
  return { outcome: "inconclusive", accepted: [], rejected: [], absent, scores, note };
}

/** The runs that agree, if they are enough and most of all runs state one exit code. */
function agreed(terms, runs, agreeing, absent, scores, note) {
  const accepted = ofOneExitCode(runs) === null ? [] : agreeing;
  if (2 * accepted.length <= runs.length) return inconclusive(absent, "no majority agrees", scores);
  if (BigInt(accepted.length) < terms.confidence) return inconclusive(absent, "fewer than M agree", scores);
  const rejected = [...runs.keys()].filter((index) => !accepted.includes(index) && !absent.includes(index));
  return { outcome: "verdict", accepted, rejected, absent, scores, note };
}

/** The larger of the absolute and the relative tolerance, times 1000, weighted as the sums they are compared with. */
const tolerance = (terms, weight, level) =>
  max(10000n * terms.toleranceKib * weight, terms.relativePermille * level);

const columnSums = (runs) => Array.from({ length: ROW }, (_, k) => sum(runs.map((run) => run.row[k])));

/** Each run's distance from the mean of `count` runs whose rows add up to `sums`, times 10 x count. */
const fromMean = (runs, count, sums) =>
  runs.map((run) => sum(run.row.map((kib, k) => abs(count * kib - sums[k]))));

function kmeans(terms, asked, present) {
  let act = present;
  let scores = {};
  for (let round = 0; act.length >= 2; round += 1) {
    const x = fromMean(act, BigInt(act.length), columnSums(act));
    if (round === 0) scores = named(act, x);
    const cut = lastLow(x);
    if (cut === null) break;
    const low = act.filter((_, r) => x[r] <= cut);
    const high = act.filter((_, r) => x[r] > cut);
    const [i, lowSums] = [BigInt(low.length), columnSums(low)];
    const far = sum(fromMean(high, i, lowSums));
    if (1000n * far < tolerance(terms, i, sum(lowSums)) * BigInt(high.length)) break;
    act = low;
    if (2n * i <= asked) return { accepted: null, scores, note: "no majority near the mean" };
  }
  const n = BigInt(act.length);
  const sums = columnSums(act);
  const spread = sum(fromMean(act, n, sums));
  if (spread > 0n && 1000n * spread >= tolerance(terms, n * n, n * sum(sums))) {
    return { accepted: null, scores, note: "spread over the tolerance" };
  }
  return { accepted: act.map((run) => run.index), scores };
}

/** The largest score of the low group of the best cut in two; null when all scores are equal. */
function lastLow(scores) {
  const sorted = [...scores].sort(compare);
  const n = sorted.length;
  const total = sum(sorted);
  let best = null;
  for (let i = 1; i < n; i += 1) {
    if (sorted[i - 1] === sorted[i]) continue;
    const gap = BigInt(i) * total - BigInt(n) * sum(sorted.slice(0, i));
    const cut = { i, gain: gap * gap, weight: BigInt(i * (n - i)) };
    if (best === null || isBetter(cut, best, n)) best = cut;
  }
  return best && sorted[best.i - 1];
}

function isBetter(cut, best, n) {
  const [ours, theirs] = [cut.gain * best.weight, best.gain * cut.weight];
  if (ours !== theirs) return ours > theirs;
  // Of equals the more uneven cut, then the one further up: cuts come with i ascending.
  return Math.max(cut.i, n - cut.i) >= Math.max(best.i, n - best.i);
}

function ball(terms, _asked, present) {
  if (present.length === 0) return { accepted: null, scores: {}, note: "no traces" };
  const best = largest(present, likeWork(terms, present), apart);
  const scores = named(present, present.map((run) => apart(best.centre, run)));
  return { accepted: best.inside.map((run) => run.index), scores };
}

/** Ten times the mean distance in memory, in KiB. */
const apart = (a, b) => sum(a.row.map((kib, k) => abs(kib - b.row[k])));

/** Whether two of these runs did like work. */
function likeWork(terms, present) {
  const levels = present.map((run) => sum(run.row)).sort(compare);
  const most = tolerance(terms, 1n, levels[(levels.length - 1) >> 1] ?? 0n);
  const isCpuAlike = (a, b) =>
    1000n * abs(a.cpuMs - b.cpuMs) <= max(200000n, terms.cpuPermille * max(a.cpuMs, b.cpuMs));
  const areFaultsAlike = (a, b) => 5n * abs(a.faults - b.faults) <= max(3000n, max(a.faults, b.faults));
  return (a, b) => 1000n * apart(a, b) <= most && isCpuAlike(a, b) && areFaultsAlike(a, b);
}

/** Of the runs that agree with one of them the most; then those nearest to it; then those of the first centre. */
function largest(present, agree, distance) {
  let best = null;
  for (const centre of present) {
    const inside = present.filter((run) => agree(centre, run));
    const found = { centre, inside, spread: sum(inside.map((run) => distance(centre, run))) };
    const size = inside.length - (best?.inside.length ?? 0);
    if (best === null || size > 0 || (size === 0 && found.spread < best.spread)) best = found;
  }
  return best;
}

/** The largest lane distance of two runs' summaries, round the circle; null where one is missing. */
function lanesApart(a, b) {
  if (a.summary === null || b.summary === null) return null;
  const ways = a.summary.map((lane, k) => abs(lane - b.summary[k]));
  return ways.map((way) => (LANE - way < way ? LANE - way : way)).reduce(max);
}

/** By outputs, equal or near, and by work where it is required: one relation, without a gate. */
function related(terms, runs, kept) {
  const withWork = terms.requireWork;
  const isNear = terms.method === "near" && !terms.deterministic;
  const isAbsent = ({ output, profile }) => output === null || (withWork && profile === null);
  const present = kept.flatMap((run, index) => (isAbsent(run) ? [] : [{ index, ...run, ...run.profile }]));
  const absent = runs.flatMap((run, index) => (isAbsent(run) ? [index] : []));
  if (present.length === 0) return inconclusive(absent, "no traces");

  const sameNumbers = (a, b) => terms.method !== "near" || String(a.summary) === String(b.summary);
  const same = (a, b) => a.output === b.output && sameNumbers(a, b);
  const likeOutput = (a, b) => same(a, b) || (isNear && (lanesApart(a, b) ?? LANE) <= STEPS);
  const numbersApart = (a, b) => (same(a, b) ? 0n : lanesApart(a, b));
  const alike = withWork ? likeWork(terms, present) : () => true;
  const best = largest(present, (a, b) => likeOutput(a, b) && alike(a, b), withWork ? apart : () => 0n);
  const scored = present.map((run) => [run.index, (withWork ? apart : numbersApart)(best.centre, run)]);
  const scores = Object.fromEntries(scored.filter(([, score]) => score !== null));
  const note = `${isNear ? "near" : "equal"} outputs${withWork ? " and work" : ""}`;
  return agreed(terms, runs, best.inside.map((run) => run.index), absent, scores, note);
}

const named = (runs, scores) => Object.fromEntries(runs.map((run, r) => [run.index, scores[r]]));
