// What narrows a list down, kept in the address; on a narrow screen it stands behind one control that says how much is set.
import { html, useEffect, useRef, useState } from '../lib.js';
import { given } from '../state/pages.js';
import { ask, query } from '../state/route.js';
import { t } from '../text/text.js';
import { Badge, Button } from './controls.js';
import { Fold } from './fold.js';

/**
 * @param {string[]} names What can be asked for, as the address and the API name it.
 * @returns {{wanted: Record<string, string>, form: Record<string, string>, field: (name: string) => {value: string | undefined, onChange: (value: string) => void},
 *   search: () => void, clear: () => void}} `wanted`: what is in force; `form`: what was typed.
 */
export function useFilters(names) {
  const wanted = Object.fromEntries(names.map((name) => [name, query.value.get(name) ?? '']));
  const [form, setForm] = useState(wanted);
  // A link may lead to the page that is shown, with another question.
  useEffect(() => setForm(wanted), [JSON.stringify(wanted)]);
  const put = (/** @type {Record<string, string | undefined>} */ values) => ask(Object.fromEntries(names.map((name) => [name, values[name]?.trim()])));
  return {
    wanted,
    form,
    field: (name) => ({ value: form[name], onChange: (value) => setForm((now) => ({ ...now, [name]: value })) }),
    search: () => put(form),
    clear: () => {
      setForm({});
      put({});
    },
  };
}

/** @param {{of: ReturnType<typeof useFilters>, onSearch: () => void, children?: any}} props */
export function Filters({ of, onSearch, children }) {
  const [open, setOpen] = useState(false);
  const control = useRef(/** @type {HTMLElement | null} */ (null));
  const set = Object.keys(given(of.wanted)).length;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    of.search();
    onSearch();
    if (!open) return;
    setOpen(false);
    control.current?.focus();
  };
  const title = html`${t('Filters')}${set > 0 && html` <${Badge} tone="accent">${t('{n} set', { n: set })}<//>`}`;
  return html`<form class="card" role="search" onSubmit=${submit}><${Fold} icon="filter" title=${title} open=${open} onToggle=${() => setOpen(!open)} control=${control}>
    <div class="body filters">${children}
      <div class="row filter-tools"><${Button} type="submit" icon="search">${t('Search')}<//>
        ${(set > 0 || Object.keys(given(of.form)).length > 0) && html`<${Button} kind="plain" onClick=${of.clear}>${t('Clear')}<//>`}</div></div><//></form>`;
}
