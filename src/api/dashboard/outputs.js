// Two results side by side, where they differ.

import { content } from './api.js';
import { el, section } from './dom.js';
import { bytes, short } from './words.js';

/** What is compared here; the command line compares more. */
const MOST_BYTES = 4 * 2 ** 20;
const MOST_TEXT = 64 * 2 ** 10;
const MOST_LINES = 400;
const BLOCK = 512;

/** The files of an archive, by name. The node has checked the archive; what is no archive has no files. */
export function untar(archive) {
  const files = new Map();
  const decoder = new TextDecoder();
  const field = (at, length) => decoder.decode(archive.subarray(at, at + length)).split('\0')[0];
  let long = null;
  for (let at = 0; at + BLOCK <= archive.length && archive[at] !== 0;) {
    const size = parseInt(field(at + 124, 12), 8);
    if (!(size >= 0)) break;
    const kind = field(at + 156, 1) || '0';
    const body = archive.subarray(at + BLOCK, at + BLOCK + size);
    const prefix = field(at + 345, 155);
    if (kind === 'L') {
      long = decoder.decode(body).split('\0')[0];
    } else {
      const name = long ?? (prefix ? `${prefix}/` : '') + field(at, 100);
      long = null;
      if (kind === '0') files.set(name, body);
    }
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

/** A form that compares two results of a job that is over. */
export function compare(view) {
  const seats = view.seats.filter((seat) => seat.result);
  if (seats.length < 2) return [];
  const first = seats.find((seat) => seat.judgement === 'accepted') ?? seats[0];
  const second = seats.find((seat) => seat.result.result_hash !== first.result.result_hash)
    ?? seats.find((seat) => seat !== first);
  const choice = (id, chosen) => el('select', { id }, seats.map((seat) =>
    el('option', { value: seat.node, selected: seat === chosen }, `${short(seat.node)} ${seat.judgement ?? ''}`)));
  const [left, right] = [choice('left', first), choice('right', second)];
  const place = el('div', { 'aria-live': 'polite' });
  const run = async (event) => {
    event.preventDefault();
    place.replaceChildren(el('p', {}, 'Fetching both results'));
    try {
      const archives = await Promise.all([left, right].map(({ value }) =>
        content(`jobs/${view.job}/results/${value}/archive`, MOST_BYTES)));
      place.replaceChildren(...beside(archives.map(untar), [left.value, right.value]));
    } catch (error) {
      place.replaceChildren(el('p', { class: 'problem' }, error.hint ? `${error.message}; ${error.hint}` : error.message));
    }
  };
  return [section('Outputs side by side',
    el('form', { class: 'row', onsubmit: run },
      el('label', { for: 'left' }, 'Compare'), left, el('label', { for: 'right' }, 'with'), right,
      el('button', { type: 'submit' }, 'Show where they differ')),
    place)];
}

/** What takes no part in a verdict, since honest runs differ in it: see "output root" in docs/verification.md. */
const IGNORED = ['stderr', 'trace.csv'];

/** The files that differ: their names, the lines to show of both, and what is not shown; null where all is. */
export function differing(one, other) {
  const names = [...new Set([...one.keys(), ...other.keys()])].sort().filter((name) => !IGNORED.includes(name));
  return names.filter((name) => !equal(one.get(name), other.get(name))).map((name) => {
    const files = [one.get(name), other.get(name)];
    const shown = files.map(asText);
    const sides = shown.map(({ lines }) => lines);
    const isSeen = sides[0].length !== sides[1].length || sides[0].some((line, at) => line !== sides[1][at]);
    const cut = shown.some(({ isCut }) => isCut) ? `Only the first ${MOST_LINES} lines are shown.` : null;
    const isMissing = files.includes(undefined);
    const note = isSeen ? cut : isMissing ? 'Only one of the results has this file.'
      : `The files differ from byte ${parting(...files)} on, which is not shown here; run assay results diff`;
    return { name, sides, note };
  });
}

/** Where two files part, counted from 0. */
function parting(one, other) {
  const at = one.findIndex((byte, place) => byte !== other[place]);
  return at < 0 ? one.length : at;
}

function beside([one, other], nodes) {
  const found = differing(one, other);
  if (!found.length) {
    return [el('p', {}, 'Their files are equal, byte for byte; assay results diff compares modes, directories and links too.')];
  }
  return found.flatMap(({ name, sides, note }) => {
    const marks = marked(...sides);
    return [el('h3', {}, name), note ? el('p', {}, note) : null, el('div', { class: 'beside' }, [0, 1].map((side) =>
      el('figure', {}, el('figcaption', {}, short(nodes[side])),
        el('pre', { tabindex: '0', role: 'region', 'aria-label': `${name} of ${short(nodes[side])}` }, marks[side]))))];
  }).filter((part) => part !== null);
}

function equal(one, other) {
  return one !== undefined && other !== undefined && one.length === other.length
    && one.every((byte, at) => byte === other[at]);
}

/** The first lines of a file, and whether it has more; one line about a file that is missing, too long or no text. */
function asText(file) {
  const about = (words) => ({ lines: [words], isCut: false });
  if (file === undefined) return about('(no such file)');
  if (file.length === 0) return about('(empty)');
  if (file.length > MOST_TEXT) return about(`(${bytes(file.length)}: too long to show)`);
  let lines;
  try {
    lines = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file).split('\n');
  } catch {
    return about(`(${bytes(file.length)}, no text)`);
  }
  return { lines: lines.slice(0, MOST_LINES), isCut: lines.length > MOST_LINES };
}

/** The lines of both sides; those without a partner are marked. */
function marked(one, other) {
  // lengths[i][j]: the most lines that one from i on and other from j on have in common, in order.
  const lengths = Array.from({ length: one.length + 1 }, () => new Uint16Array(other.length + 1));
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = other.length - 1; j >= 0; j--) {
      lengths[i][j] = one[i] === other[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const sides = [[], []];
  let [i, j] = [0, 0];
  while (i < one.length || j < other.length) {
    if (i < one.length && j < other.length && one[i] === other[j]) {
      sides[0].push(`${one[i++]}\n`);
      sides[1].push(`${other[j++]}\n`);
    } else if (j >= other.length || (i < one.length && lengths[i + 1][j] >= lengths[i][j + 1])) {
      sides[0].push(el('mark', {}, `${one[i++]}\n`));
    } else {
      sides[1].push(el('mark', {}, `${other[j++]}\n`));
    }
  }
  return sides;
}
