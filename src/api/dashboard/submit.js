// A form for a new job.

import { get, post } from './api.js';
import { el } from './dom.js';
import { unit, units, words } from './words.js';

const METHODS = [
  ['ball', 'equal outputs, else the largest set of like runs'],
  ['hash', 'equal outputs only'],
  ['kmeans', 'equal outputs, else the runs near the mean'],
];

export function open(main, _argument, signal) {
  const inputs = {};
  const labels = {};
  const field = (name, label, attributes, note) => {
    inputs[name] = el('input', { id: name, name, ...attributes, 'aria-describedby': note ? `${name}-note` : null });
    labels[name] = el('label', { for: name }, label);
    return el('div', { class: 'field' }, labels[name], inputs[name],
      note ? el('p', { id: `${name}-note`, class: 'quiet' }, note) : null);
  };
  const method = el('select', { id: 'method' }, METHODS.map(([name, note]) => el('option', { value: name }, `${name}: ${note}`)));
  const said = el('p', { role: 'alert', class: 'problem' });
  const button = el('button', { type: 'submit' }, 'Submit');
  const requests = new Requests();
  const submit = async (event) => {
    event.preventDefault();
    said.textContent = '';
    button.disabled = true;
    try {
      const wanted = Object.fromEntries([...Object.values(inputs), method].map(({ id, value }) => [id, value]));
      const { job } = await requests.send(wanted);
      location.hash = `#/job/${job}`;
    } catch (error) {
      said.textContent = error.hint ? `${error.message}; ${error.hint}` : error.message;
      button.disabled = false;
    }
  };
  main.append(
    el('h1', {}, 'Submit a job'),
    el('form', { onsubmit: submit },
      field('image', 'Image', { required: true, value: 'assay/demo:1' }),
      field('command', 'Command', { placeholder: 'echo hello' }, 'Spaces part the words; quotes keep them together.'),
      field('concurrency', 'Nodes', { type: 'number', min: '1', max: '31', value: '3', required: true }, 'How many nodes run it.'),
      field('confidence', 'Must agree', { type: 'number', min: '1', max: '31', value: '2', required: true }),
      el('div', { class: 'field' }, el('label', { for: 'method' }, 'Compare'), method),
      field('memory', 'Memory in MiB', { type: 'number', min: '8', value: '512', required: true }),
      field('timeout', 'Timeout in minutes', { type: 'number', min: '1', max: '10000', value: '30', required: true }),
      field('price', 'Price of a seat', { value: '0', required: true, inputmode: 'decimal' },
        'Paid only where a contract holds the money.'),
      button),
    said,
  );
  let isNamed = false;
  return {
    async look() {
      if (isNamed) return;
      const { asset } = await get('node', signal);
      labels.price.textContent = `Price of a seat in ${unit(asset)}`;
      isNamed = true;
    },
  };
}

/** What the page sends: a second click, or a try after a lost answer, is the same request under the same key. */
export class Requests {
  #last = null;

  /** Sends what is in the form; as a new request, under a new key, whenever that differs from what was sent last. */
  async send(wanted) {
    const form = JSON.stringify(wanted);
    if (this.#last?.form !== form) this.#last = { form, body: await request(wanted), key: newKey(), mayBeDone: false };
    const sent = this.#last;
    try {
      return await post('jobs', sent.body, { 'Idempotency-Key': sent.key });
    } catch (error) {
      const isRefused = error.status >= 400 && error.status < 500;
      sent.mayBeDone ||= !isRefused;
      // A refused request was not carried out: the next one asks for the node's proposal again.
      if (!sent.mayBeDone) this.#last = null;
      throw error;
    }
  }
}

/** Also where the page has no secure context, which `randomUUID` needs. */
function newKey() {
  return crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].join('.');
}

async function request(wanted) {
  const command = words(wanted.command);
  if (!command) throw new Error('a quote in the command is not closed');
  const { asset } = await get('node');
  const price = units(wanted.price, asset);
  if (price === null) throw new Error(`the price is no amount in ${unit(asset)}`);
  const { deal, resources } = await get(`defaults?timeout=${Number(wanted.timeout) * 60}&price=${price}`);
  return {
    image: wanted.image.trim(),
    command,
    resources: { ...resources, memory_bytes: Number(wanted.memory) * 2 ** 20 },
    deal: {
      ...deal,
      method: wanted.method,
      concurrency: Number(wanted.concurrency),
      confidence: Number(wanted.confidence),
    },
  };
}
