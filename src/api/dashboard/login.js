// How a tab gets the token: by a ticket in the address, or by hand.

import { dropToken, get, keepToken, post } from './api.js';
import { el } from './dom.js';

/** Redeems the ticket in the address, if there is one, and takes it out of the address and the history. */
export async function redeem() {
  const found = /^#ticket=([0-9a-f]{64})$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, '', '/#/jobs');
  try {
    keepToken((await post('session', { ticket: found[1] })).token);
    return null;
  } catch (error) {
    return error;
  }
}

/** Asks for the token; calls `entered` with one that the node takes. */
export function page(main, problem, entered) {
  const field = el('input', { id: 'token', type: 'password', autocomplete: 'off', required: true, size: '48' });
  const said = el('p', { role: 'alert', class: 'problem' }, problem ? words(problem) : '');
  const enter = async (event) => {
    event.preventDefault();
    keepToken(field.value.trim());
    try {
      await get('node');
      entered();
    } catch (error) {
      dropToken();
      said.textContent = words(error);
      field.focus();
    }
  };
  main.replaceChildren(
    el('h1', {}, 'Open this node'),
    el('p', {}, 'Run ', el('code', {}, 'assay dashboard'), ' as the user who started the node, and open the address that it prints.'),
    el('p', {}, 'Or paste the content of the file ', el('code', {}, 'api.token'), ' from its data directory:'),
    el('form', { onsubmit: enter },
      el('label', { for: 'token' }, 'Token'), field,
      el('button', { type: 'submit' }, 'Open')),
    said,
  );
}

const words = (error) => (error.hint ? `${error.message}; ${error.hint}` : error.message);
