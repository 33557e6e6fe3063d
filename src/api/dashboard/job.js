// One job: its runs, why each was accepted or rejected, its picture, its log and its money.

import { ApiError, get, post, text } from './api.js';
import { el, facts, section, show, table } from './dom.js';
import { warnings } from './nodes.js';
import { compare } from './outputs.js';
import { amount, bytes, command, event, isOver, short, span } from './words.js';

/** The one text that becomes markup: the picture that this node drew. */
const policy = globalThis.trustedTypes?.createPolicy('assay-picture', { createHTML: (svg) => svg })
  ?? { createHTML: (svg) => svg };

export function open(main, id, signal) {
  const places = Object.fromEntries(['head', 'runs', 'outputs', 'steps', 'money'].map((name) => [name, el('div')]));
  const picture = el('div');
  const announced = el('p', { role: 'status', class: 'hidden' });
  main.append(el('h1', {}, `Job ${short(id)}`), announced, places.head, places.runs, picture, places.outputs, places.steps,
    places.money);
  let drawn = null;
  let isCompared = false;
  return {
    async look() {
      const [view, log, anchors] =
        await Promise.all([`jobs/${id}`, `jobs/${id}/log`, `jobs/${id}/anchors`].map((path) => get(path, signal)));
      const words = `The job is ${view.state}`;
      if (announced.textContent !== words) announced.textContent = words;
      show(places.head, head(view, id));
      show(places.runs, runs(view));
      show(places.steps, steps(log, anchors, view.asset));
      show(places.money, ...money(view));
      // What was revealed changes the picture, and the end brings whole curves.
      const revealed = `${view.state} ${view.seats.filter((seat) => seat.result).length}`;
      if (drawn !== revealed) {
        drawn = revealed;
        picture.replaceChildren(await drawing(id, signal));
      }
      if (isOver(view.state) && !isCompared) {
        isCompared = true;
        places.outputs.replaceChildren(...compare(view));
      }
    },
  };
}

function head(view, id) {
  const { spec, deal } = view;
  const cancel = async (pressed) => {
    const button = pressed.currentTarget;
    button.disabled = true;
    try {
      await post(`jobs/${id}/cancel`, {});
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      button.replaceWith(error.message);
    }
  };
  const deadline = view.deadlines.find(({ at }) => at > view.now);
  return el('div', {},
    el('p', {}, el('span', { class: `state ${view.state}` }, view.state), view.failure ? ` ${view.failure}` : '',
      view.verdict ? ` ${view.verdict.accepted.length} of ${view.asked} nodes agree` : '',
      view.broken ? ` ${view.broken}` : ''),
    warnings(view.warnings),
    facts([
      ['Id', view.job],
      ['Requester', short(view.requester)],
      ['Image', spec.image_name],
      ['Command', el('code', {}, command([...spec.entrypoint, ...spec.command]))],
      ['Deal', `${view.asked} nodes run it, ${view.quorum} must agree; compared by ${deal.method}`],
      ['Limits', `${bytes(spec.resources.memory_bytes)} memory, ${spec.resources.cpu_millis / 1000} CPUs, ${span(deal.timeout)}`],
      ['Submitted', new Date(view.submitted_at * 1000).toLocaleString()],
      ['Took', view.ended_at === null ? null : span(view.ended_at - view.submitted_at)],
      ['Next deadline', deadline && !isOver(view.state) ? `${new Date(deadline.at * 1000).toLocaleTimeString()}: ${deadline.bounds}` : null],
    ]),
    isOver(view.state) ? null : el('button', { type: 'button', onclick: cancel }, 'Cancel the job'));
}

const VERDICTS = { accepted: 'accepted', rejected: 'rejected', absent: 'absent' };

function runs(view) {
  const cells = (seat) => [
    el('code', { title: seat.node }, short(seat.node)),
    seat.failure ? `failed: ${seat.failure.replaceAll('_', ' ')}` : seat.status,
    seat.result ? String(seat.result.exit_code) : '-',
    seat.result?.cpu_ms != null ? `${seat.result.cpu_ms} ms` : '-',
    seat.result?.memory_kib ? bytes(Math.max(...seat.result.memory_kib) * 1024) : '-',
    el('span', { class: 'verdict' }, VERDICTS[seat.judgement] ?? '-'),
    seat.reason ?? '',
  ];
  const heads = ['Node', 'State', 'Exit', 'CPU', 'Memory', 'Verdict', 'Why'];
  const body = view.seats.length
    ? table('Runs', heads, view.seats.map((seat) => ({ cells: cells(seat), kind: seat.judgement })))
    : el('p', {}, `No node is accepted yet; ${view.bids.length} have bid.`);
  return section('Runs', body);
}

async function drawing(id, signal) {
  let svg;
  try {
    const markup = policy.createHTML(await text(`jobs/${id}/plot`, signal));
    svg = new DOMParser().parseFromString(markup, 'image/svg+xml').documentElement;
  } catch (error) {
    if (signal.aborted) throw error;
    svg = el('p', { class: 'problem' }, error.message);
  }
  const frame = el('div', { class: 'wide picture', role: 'region', 'aria-label': 'Curves', tabindex: '0' }, document.adoptNode(svg));
  return section('What the runs took', frame);
}

function steps(log, anchors, asset) {
  const anchored = new Map(anchors.map((anchor) => [anchor.height, anchor]));
  const began = log[0]?.at ?? 0;
  const onChain = anchors.length > 0;
  let before = null;
  const cells = (entry) => {
    const anchor = anchored.get(entry.height);
    const gas = anchor?.transaction === before ? 'same' : anchor?.cost?.gas_used ?? '-';
    before = anchor?.transaction ?? null;
    const chain = onChain ? [anchor?.block ?? '-', gas, el('code', {}, anchor?.transaction ?? '-')].map((cell) => (
      typeof cell === 'number' ? String(cell) : cell)) : [];
    return [`+${span(entry.at - began)}`, short(entry.author), event(entry.event, asset), ...chain];
  };
  const heads = ['Time', 'By', 'What happened', ...(onChain ? ['Block', 'Gas', 'Transaction'] : [])];
  const costs = new Map(anchors.map((anchor) => [anchor.transaction, anchor.cost]));
  const known = [...costs.values()];
  const sum = onChain && known.every(Boolean)
    ? el('p', {}, `Gas: ${known.reduce((all, cost) => all + cost.gas_used, 0)} in all, for `
      + amount(known.reduce((all, cost) => all + BigInt(cost.fee), 0n).toString()))
    : null;
  return section('Timeline', table('Timeline', heads, log.map((entry) => ({ cells: cells(entry) }))), sum);
}

function money({ money: all, requester, asset }) {
  if (!all) return [];
  const cells = (party) => [
    `${short(party.node)}${party.node === requester ? ' (requester)' : ''}`,
    amount(party.locked, asset), party.paid === null ? '-' : amount(party.paid, asset),
  ];
  const burnt = all.burnt === null ? null : el('p', {}, `Burnt: ${amount(all.burnt, asset)}`);
  return [section('Money', table('Money', ['Party', 'Locked', 'Got'], all.parties.map((party) => ({ cells: cells(party) }))), burnt)];
}
