// The API of the node that served this page. The token lives in this tab alone.

const KEY = 'assay.token';
const ROOT = '/api/v1/';

export class ApiError extends Error {
  constructor(status, { message, hint, code }) {
    super(message);
    Object.assign(this, { status, hint, code });
  }
}

let token = sessionStorage.getItem(KEY);

export const hasToken = () => token !== null;

export function keepToken(text) {
  token = text;
  sessionStorage.setItem(KEY, text);
}

export function dropToken() {
  token = null;
  sessionStorage.removeItem(KEY);
}

async function ask(path, { method = 'GET', body, headers = {}, signal } = {}) {
  const all = { ...headers };
  if (token) all.Authorization = `Bearer ${token}`;
  if (body !== undefined) all['Content-Type'] = 'application/json';
  let reply;
  try {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    reply = await fetch(ROOT + path, { method, headers: all, body: sent, signal, cache: 'no-store' });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { message: 'the node does not answer', hint: 'is it running?' });
  }
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => ({}));
  throw new ApiError(reply.status, told.error ?? { message: `the node answers with status ${reply.status}` });
}

export const get = async (path, signal) => (await ask(path, { signal })).json();
export const text = async (path, signal) => (await ask(path, { signal })).text();
export const post = async (path, body, headers) => (await ask(path, { method: 'POST', body, headers })).json();

/** At most so many bytes of an answer; an error beyond. */
export async function content(path, most) {
  const reply = await ask(path);
  const pieces = [];
  let length = 0;
  for (const reader = reply.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > most) {
      await reader.cancel();
      throw new ApiError(0, { message: 'the result is too long to compare here', hint: 'run assay results diff' });
    }
    pieces.push(value);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** Calls `heard` whenever a log grows, until `signal`; returns when the stream ends. */
export async function follow(heard, signal) {
  const reply = await ask('events', { signal });
  heard();
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    if (lines.some((line) => line.startsWith('data:'))) heard();
  }
}
