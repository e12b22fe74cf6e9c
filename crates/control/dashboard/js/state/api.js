// Speaks with the admin API under the session's cookie; it never sees the token after login.
import { signal } from '../lib.js';

/**
 * @typedef {'admin' | 'operator' | 'viewer'} Role
 * @typedef {{role: Role, csrf: string, expires: string | number}} Session
 * @typedef {{path: string, message: string, suggestion?: string}} FieldError
 */

/** `undefined` until it is known, `null` when nobody is logged in. @type {import('@preact/signals-core').Signal<Session | null | undefined>} */
export const session = signal(undefined);

const RANK = { viewer: 0, operator: 1, admin: 2 };

/** Whether the session may do what `role` may. @param {Role} role */
export function may(role) {
  const own = session.value?.role;
  return own !== undefined && RANK[own] >= RANK[role];
}

/** What the API said no with (RFC 9457), or what kept it from saying anything. */
export class Problem extends Error {
  /** @param {number} status 0 when there was no answer. @param {{code?: string, detail?: string, errors?: FieldError[]}} said */
  constructor(status, said) {
    super(said.detail ?? `HTTP ${status}`);
    this.status = status;
    this.code = said.code ?? (status === 0 ? 'unreachable' : 'unknown');
    /** @type {FieldError[]} */
    this.errors = said.errors ?? [];
  }
}

/**
 * @param {string} method
 * @param {string} path Under `/api`, such as `/admin/backends`.
 * @param {{body?: unknown, revision?: number | null, signal?: AbortSignal}} [more]
 * @returns {Promise<Response>}
 */
export async function request(method, path, more = {}) {
  /** @type {Record<string, string>} */
  const headers = { accept: 'application/json' };
  if (more.body !== undefined) headers['content-type'] = 'application/json';
  if (more.revision !== undefined && more.revision !== null) headers['if-match'] = `"${more.revision}"`;
  if (method !== 'GET' && session.value) headers['x-csrf-token'] = session.value.csrf;
  const body = more.body === undefined ? undefined : JSON.stringify(more.body);
  let response;
  try {
    response = await fetch(`/api${path}`, { method, headers, body, signal: more.signal, credentials: 'same-origin' });
  } catch (failure) {
    if (failure instanceof DOMException && failure.name === 'AbortError') throw failure;
    throw new Problem(0, { detail: 'The gateway cannot be reached' });
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  if (response.status === 401 && path !== '/admin/session') session.value = null;
  throw new Problem(response.status, said);
}

/** @param {string} method @param {string} path @param {Parameters<typeof request>[2]} [more] @returns {Promise<any>} */
export async function call(method, path, more) {
  const response = await request(method, path, more);
  return response.status === 204 ? null : response.json();
}

const MARK = 'lockgate-session';

/** Whether this browser logged in before; the cookie itself is not for scripts to see. @param {boolean} [is] */
function wasIn(is) {
  try {
    if (is === true) localStorage.setItem(MARK, 'yes');
    if (is === false) localStorage.removeItem(MARK);
    return localStorage.getItem(MARK) !== null;
  } catch {
    return true;
  }
}

/** Asks who is logged in. */
export async function resume() {
  if (!wasIn()) {
    session.value = null;
    return;
  }
  try {
    session.value = await call('GET', '/admin/session');
  } catch (problem) {
    // Without an answer nobody was logged out: whoever was in stays in.
    if (problem instanceof Problem && problem.status === 0 && session.value) return;
    wasIn(false);
    session.value = null;
  }
}

/** @param {string} token */
export async function login(token) {
  session.value = await call('POST', '/admin/session', { body: { token } });
  wasIn(true);
}

export async function logout() {
  await call('DELETE', '/admin/session').catch(() => null);
  wasIn(false);
  session.value = null;
}

const PAGES_MAX = 20;

/** The rows of a page, whatever the API calls them. @param {any} page @returns {any[]} */
export const listIn = (page) => /** @type {any[]} */ (Object.values(page).find(Array.isArray) ?? []);

/** All of a list that comes in pages, up to twenty of them. @param {string} path @param {{signal?: AbortSignal}} [more] @returns {Promise<any>} */
export async function callAll(path, more) {
  const first = await call('GET', path, more);
  let next = first.next;
  for (let page = 1; next && page < PAGES_MAX; page += 1) {
    const joint = path.includes('?') ? '&' : '?';
    const further = await call('GET', `${path}${joint}cursor=${encodeURIComponent(next)}`, more);
    listIn(first).push(...listIn(further));
    next = further.next;
  }
  return first;
}
