// The node that answers, and those that it knows.

import { get } from './api.js';
import { el, facts, section, show, table } from './dom.js';
import { bytes, short } from './words.js';

export function open(main, _argument, signal) {
  const own = el('div');
  const others = el('div');
  main.append(el('h1', {}, 'Nodes'), own, others);
  return {
    async look() {
      const [info, rows] = await Promise.all([get('node', signal), get('nodes', signal)]);
      show(own, section('This node', facts([
        ['Id', info.id],
        ['Version', info.version],
        ['Scheduler', info.backend],
        ['Address', info.api],
        ['Peers reach it at', info.listen.join(' ')],
        ['Slots', String(info.compute_slots)],
        ['Other nodes', String(info.members)],
        ['Connections', info.links && `${info.links.connected}, ${info.links.visitors} opened by others`],
      ]), warnings(info.warnings)));
      show(others, section('All nodes', el('p', {}, 'Results of each node that verdicts accepted or rejected, in jobs that '
        + 'this node asked for or took part in.'), listed(rows)));
    },
  };
}

/** What keeps a node from its work. */
export function warnings(all) {
  if (!all.length) return null;
  return el('ul', { class: 'problem' }, all.map((warning) => el('li', {}, `${warning.message}; ${warning.hint}`)));
}

function listed(rows) {
  const cells = (row) => [
    el('code', { title: row.id }, short(row.id)),
    row.is_self ? 'this node' : row.known ? 'here' : 'away',
    String(row.accepted), String(row.rejected), String(row.failed), String(row.absent),
    row.offer ? `${row.offer.slots} slots, ${bytes(row.offer.resources.memory_bytes)}, ${row.offer.platform}` : '-',
  ];
  return table('Nodes', ['Node', 'State', 'Accepted', 'Rejected', 'Failed', 'Silent', 'Takes jobs of'],
    rows.map((row) => ({ cells: cells(row), kind: row.rejected > 0 ? 'rejected' : null })));
}
