// Decides which page is shown, by the address; it loads nothing.
import { html, signal, computed } from '../lib.js';

const ROOT = '/dashboard';

const address = signal(location.pathname + location.search);
window.addEventListener('popstate', () => (address.value = location.pathname + location.search));

/** The parts of the path behind `/dashboard`. */
export const path = computed(() => {
  const [whole = ''] = address.value.split('?');
  return whole.slice(ROOT.length).split('/').filter(Boolean).map(decodeURIComponent);
});
/** What follows the question mark. */
export const query = computed(() => new URLSearchParams(address.value.split('?')[1] ?? ''));

/** @param {string} to Behind `/dashboard`, such as `/backends`. */
export function go(to) {
  history.pushState(null, '', ROOT + to);
  address.value = location.pathname + location.search;
  window.scrollTo(0, 0);
}

/** Changes what follows the question mark; empty values go. @param {Record<string, string | undefined>} changes */
export function ask(changes) {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  const text = next.toString();
  history.replaceState(null, '', location.pathname + (text ? `?${text}` : ''));
  address.value = location.pathname + location.search;
}

/** A link inside the dashboard. @param {{to: string, children?: any, [name: string]: any}} props */
export function Link({ to, children, ...rest }) {
  const follow = (/** @type {MouseEvent} */ event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(to);
  };
  return html`<a href=${ROOT + to} onClick=${follow} ...${rest}>${children}</a>`;
}
