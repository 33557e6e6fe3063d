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

/** Traces always differ, and standard error is compared with nothing. */
const IGNORED = ['trace.csv'];

function beside([one, other], nodes) {
  const names = [...new Set([...one.keys(), ...other.keys()])].sort().filter((name) => !IGNORED.includes(name));
  const differing = names.filter((name) => !equal(one.get(name), other.get(name)));
  if (!differing.length) return [el('p', {}, 'Their outputs are equal, byte for byte.')];
  return differing.flatMap((name) => {
    const texts = [one.get(name), other.get(name)].map(asText);
    const marks = marked(...texts);
    return [el('h3', {}, name), el('div', { class: 'beside' }, [0, 1].map((side) =>
      el('figure', {}, el('figcaption', {}, short(nodes[side])),
        el('pre', { tabindex: '0', role: 'region', 'aria-label': `${name} of ${short(nodes[side])}` }, marks[side]))))];
  });
}

function equal(one, other) {
  return one !== undefined && other !== undefined && one.length === other.length
    && one.every((byte, at) => byte === other[at]);
}

/** A file as lines; null if there is none, and one line about it if it is long or no text. */
function asText(file) {
  if (file === undefined) return ['(no such file)'];
  if (file.length === 0) return ['(empty)'];
  if (file.length > MOST_TEXT) return [`(${bytes(file.length)}: too long to show)`];
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(file).split('\n').slice(0, MOST_LINES);
  } catch {
    return [`(${bytes(file.length)}, no text)`];
  }
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
