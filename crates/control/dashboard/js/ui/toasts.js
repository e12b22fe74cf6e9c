// Tells in passing what was done or went wrong; it keeps nothing.
import { html, signal } from '../lib.js';
import { heard } from '../text/problems.js';
import { t } from '../text/text.js';

/** @type {import('@preact/signals-core').Signal<{id: number, tone: string, text: string}[]>} */
const shown = signal([]);
let last = 0;

/** @param {string} text @param {string} [tone] */
export function tell(text, tone = 'good') {
  const id = ++last;
  shown.value = [...shown.value.slice(-3), { id, tone, text }];
  setTimeout(() => (shown.value = shown.value.filter((toast) => toast.id !== id)), tone === 'bad' ? 9000 : 4000);
}

/** Does something and tells how it went; gives its result, or nothing when it failed.
 * @template T @param {() => Promise<T>} work @param {string} [done] @returns {Promise<T | undefined>} */
export async function attempt(work, done) {
  try {
    const result = await work();
    if (done) tell(done);
    return result;
  } catch (problem) {
    const errors = /** @type {any} */ (problem).errors ?? [];
    const details = errors.map((/** @type {any} */ error) => [error.path, heard(error.message)].filter(Boolean).join(': ')).join('; ');
    tell(details || heard(/** @type {any} */ (problem).message ?? String(problem)), 'bad');
    return undefined;
  }
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite" aria-label=${t('Messages')}>
    ${shown.value.map((toast) => html`<div key=${toast.id} class=${`toast ${toast.tone}`}>${toast.text}</div>`)}
  </div>`;
}
