// The pages, which one is open, and news of the node.

import { ApiError, dropToken, follow, hasToken } from './api.js';
import { el } from './dom.js';
import * as job from './job.js';
import * as jobs from './jobs.js';
import { page as login, redeem } from './login.js';
import * as nodes from './nodes.js';
import * as submit from './submit.js';

/** The pause between two looks, however fast the logs grow, and the longest one: deadlines pass without an event. */
const SOON = 250;
const LATE = 10_000;
const RETRY = 1000;

const PAGES = [
  [/^#\/jobs(?:\?(.*))?$/, jobs],
  [/^#\/job\/(0x[0-9a-f]{64})$/, job],
  [/^#\/nodes$/, nodes],
  [/^#\/submit$/, submit],
];

const main = document.getElementById('main');
const link = document.getElementById('link');
let open = null;

/** One open page: what it looks at, and how it stops. */
class Open {
  constructor(page, argument) {
    this.stop = new AbortController();
    this.view = page.open(main, argument, this.stop.signal);
    this.due = 0;
    this.timer = null;
    this.isLooking = false;
  }

  /** Looks again within this time. */
  within(pause) {
    if (this.stop.signal.aborted || !this.view.look) return;
    const at = Date.now() + pause;
    if (this.timer !== null && this.due <= at) return;
    clearTimeout(this.timer);
    this.due = at;
    this.timer = setTimeout(() => this.look(), pause);
  }

  async look() {
    this.timer = null;
    if (this.isLooking) return this.within(SOON);
    this.isLooking = true;
    try {
      await this.view.look();
    } catch (error) {
      failed(error, this);
    } finally {
      this.isLooking = false;
    }
    this.within(LATE);
  }

  close() {
    clearTimeout(this.timer);
    this.stop.abort();
  }
}

function failed(error, of) {
  if (of.stop.signal.aborted) return;
  if (!(error instanceof ApiError)) throw error;
  if (error.status === 401) return locked(error);
  let place = main.querySelector('.problem');
  if (!place) {
    place = el('p', { role: 'alert', class: 'problem' });
    main.prepend(place);
  }
  place.textContent = error.hint ? `${error.message}; ${error.hint}` : error.message;
}

function locked(problem) {
  open?.close();
  open = null;
  dropToken();
  tell('locked');
  login(main, problem, start);
}

function tell(words) {
  if (link.textContent !== words) link.textContent = words;
}

function turn() {
  if (!hasToken()) return locked(null);
  open?.close();
  const [page, argument] = PAGES.map(([pattern, page]) => [page, pattern.exec(location.hash)])
    .find(([, found]) => found) ?? [jobs, null];
  for (const anchor of document.querySelectorAll('nav a')) {
    const isHere = location.hash.startsWith(anchor.hash) || (page === job && anchor.hash === '#/jobs');
    anchor.toggleAttribute('aria-current', isHere);
    if (isHere) anchor.setAttribute('aria-current', 'page');
  }
  main.replaceChildren();
  open = new Open(page, argument?.[1]);
  document.title = `${main.querySelector('h1')?.textContent ?? 'Jobs'} - Assay`;
  open.within(0);
}

/** Follows the node while this tab is seen: browsers give a site six connections, and each hidden tab would hold one. */
async function listen() {
  for (;;) {
    const stop = new AbortController();
    const hide = () => document.hidden && stop.abort();
    document.addEventListener('visibilitychange', hide);
    try {
      if (!document.hidden && hasToken()) {
        await follow(() => {
          tell('live');
          open?.within(SOON);
        }, stop.signal);
      }
    } catch (error) {
      if (error instanceof ApiError && error.status === 401 && hasToken()) locked(error);
    }
    document.removeEventListener('visibilitychange', hide);
    if (hasToken()) tell('not connected');
    await new Promise((resolve) => { setTimeout(resolve, RETRY); });
  }
}

function start() {
  if (!PAGES.some(([pattern]) => pattern.test(location.hash))) history.replaceState(null, '', '/#/jobs');
  turn();
}

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('hashchange', async () => {
  if (location.hash.startsWith('#ticket=')) await redeem();
  turn();
  main.focus({ preventScroll: true });
});
const problem = await redeem();
if (hasToken()) start();
else locked(problem);
listen();
