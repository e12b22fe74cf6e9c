// Parts of a page of which one is shown; which one is kept in the address.
import { html } from '../lib.js';
import { ask, query } from '../state/route.js';

/** @param {{label: string, tabs: {id: string, name: string, view: any}[]}} props The first is shown where the address names none. */
export function Tabs({ label, tabs }) {
  const chosen = tabs.find(({ id }) => id === query.value.get('tab')) ?? /** @type {any} */ (tabs[0]);
  const show = (/** @type {string} */ id) => ask({ tab: id === tabs[0]?.id ? undefined : id, open: undefined });
  const walk = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = step && tabs[(tabs.indexOf(chosen) + step + tabs.length) % tabs.length];
    if (!next) return;
    show(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${walk}>${tabs.map(({ id, name }) => html`<button key=${id} type="button" role="tab" id=${`tab-${id}`}
      aria-selected=${String(id === chosen.id)} aria-controls="tab-panel" tabindex=${id === chosen.id ? 0 : -1} onClick=${() => show(id)}>${name}</button>`)}</div>
    <div role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${chosen.id}`} key=${chosen.id}><${chosen.view} /></div>`;
}
