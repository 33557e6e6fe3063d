// Elements made from values. Text is set as text, never parsed: much of what is shown was chosen by strangers.

/** An element. `attributes` hold strings, listeners (`onclick`), true for a bare attribute, and null for none. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** A table, with a caption for screen readers alone; `rows` are lists of cells, the first of which names its row. */
export function table(caption, heads, rows) {
  const head = el('thead', {}, el('tr', {}, heads.map((name) => el('th', { scope: 'col' }, name))));
  const row = ({ cells, kind }) =>
    el('tr', { class: kind ?? null }, cells.map((cell, place) => (place === 0
      ? el('th', { scope: 'row' }, cell)
      : el('td', { 'data-head': heads[place] }, cell))));
  const all = el('table', {}, el('caption', { class: 'hidden' }, caption), head, el('tbody', {}, rows.map(row)));
  return el('div', { class: 'wide', role: 'region', 'aria-label': caption, tabindex: '0' }, all);
}

/** Names and values. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return el('dl', {}, shown.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

/** A part of a page with a heading. */
export function section(title, ...children) {
  return el('section', {}, el('h2', {}, title), ...children);
}

/** Replaces what a place shows, unless it shows that already; keeps the focus where it was. */
export function show(place, ...children) {
  const next = el(place.tagName, {}, ...children);
  if (!next.isEqualNode(shell(place))) {
    const focused = place.contains(document.activeElement) ? pathOf(document.activeElement, place) : null;
    place.replaceChildren(...next.childNodes);
    if (focused) focused.reduce((node, index) => node?.children[index], place)?.focus({ preventScroll: true });
  }
}

/** A copy of an element without its own attributes. */
function shell(place) {
  return el(place.tagName, {}, ...[...place.childNodes].map((child) => child.cloneNode(true)));
}

function pathOf(node, place) {
  const path = [];
  for (let at = node; at !== place; at = at.parentElement) {
    path.unshift([...at.parentElement.children].indexOf(at));
  }
  return path;
}
