// The list of jobs, as it changes.

import { get } from './api.js';
import { el, show, table } from './dom.js';
import { command, isOver, short, span } from './words.js';

const LIMIT = 200;
const STATES = ['open', 'running', 'revealing', 'verified', 'inconclusive', 'failed', 'cancelled', 'expired'];

export function open(main, _argument, signal) {
  const state = el('select', { id: 'state' }, el('option', { value: '' }, 'any'), el('option', { value: 'live' }, 'not over'),
    STATES.map((name) => el('option', { value: name }, name)));
  const search = el('input', { id: 'search', type: 'search', placeholder: 'id, image, command or group' });
  const list = el('div');
  const count = el('p', { role: 'status' });
  let rows = [];
  let total = 0;
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const shown = rows.filter((row) => isWanted(row, state.value, wanted));
    const known = total > rows.length ? `; the newest ${rows.length} of ${total} were looked at` : '';
    const words = `${shown.length} ${shown.length === 1 ? 'job' : 'jobs'}${known}`;
    if (count.textContent !== words) count.textContent = words;
    show(list, shown.length ? listed(shown) : el('p', {}, rows.length
      ? 'No job is like that.'
      : 'No jobs yet. Submit one here, or run: assay job submit assay/demo:1 -- echo hello'));
  };
  state.addEventListener('change', draw);
  search.addEventListener('input', draw);
  main.append(
    el('h1', {}, 'Jobs'),
    el('form', { class: 'row', role: 'search', onsubmit: (event) => event.preventDefault() },
      el('label', { for: 'state' }, 'State'), state,
      el('label', { for: 'search' }, 'Find'), search),
    count, list,
  );
  return {
    async look() {
      ({ jobs: rows, total } = await get(`jobs?limit=${LIMIT}`, signal));
      draw();
    },
  };
}

function isWanted(row, state, text) {
  if (state === 'live' ? isOver(row.state) : state && row.state !== state) return false;
  const places = [row.job, row.job.slice(2), row.image, command(row.command), row.member?.group ?? ''];
  return !text || places.some((place) => place.toLowerCase().includes(text));
}

function listed(rows) {
  const now = Math.floor(Date.now() / 1000);
  const cells = (row) => [
    el('a', { href: `#/job/${row.job}` }, short(row.job)),
    el('span', { class: `state ${row.state}` }, row.state),
    `${row.seats}/${row.concurrency}`,
    row.accepted === null ? '-' : String(row.accepted),
    `${span(Math.max(0, now - row.submitted_at))} ago`,
    row.image,
    el('code', {}, command(row.command)),
  ];
  return table('Jobs that this node knows', ['Job', 'State', 'Nodes', 'Agreed', 'Submitted', 'Image', 'Command'],
    rows.map((row) => ({ cells: cells(row) })));
}
