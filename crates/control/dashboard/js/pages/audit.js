// Who changed what, and when; each line is chained to the one before, so that a gap would show.
import { html, useEffect, useState } from '../lib.js';
import { Problem, call } from '../state/api.js';
import { exactly, when } from '../text/format.js';
import { say, t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { Dialog } from '../ui/dialog.js';
import { TextField } from '../ui/fields.js';
import { PageHead } from '../ui/page.js';
import { Empty, Failed, Loading } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { Pairs } from './backends/details.js';

const FILTERS = ['actor', 'action', 'object'];

export function Audit() {
  const [state, setState] = useState(/** @type {{rows: any[] | null, next: string | null, problem: Problem | null}} */ ({ rows: null, next: null, problem: null }));
  const [form, setForm] = useState(/** @type {Record<string, string>} */ ({}));
  const [open, setOpen] = useState(/** @type {any} */ (null));
  const load = async (/** @type {string | null} */ cursor) => {
    const wanted = new URLSearchParams(Object.entries(form).filter(([, value]) => value.trim()));
    wanted.set('limit', '100');
    if (cursor) wanted.set('cursor', cursor);
    try {
      const page = await call('GET', `/admin/audit?${wanted}`);
      const rows = page.entries ?? page.audit ?? page.lines ?? [];
      setState((before) => ({ rows: cursor ? [...(before.rows ?? []), ...rows] : rows, next: page.next ?? null, problem: null }));
    } catch (problem) {
      setState((before) => ({ ...before, problem: /** @type {Problem} */ (problem) }));
    }
  };
  useEffect(() => {
    load(null);
  }, []);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    load(null);
  };
  const names = { actor: t('Who'), action: t('What'), object: t('On what') };
  return html`<${PageHead} title=${t('Audit')} about=${t('Every change, chained to the one before: a missing or altered line would show.')} />
    ${!(state.problem && state.rows === null) && html`<form class="card" role="search" onSubmit=${submit}><div class="body filters">
      ${FILTERS.map((name) => html`<${TextField} key=${name} label=${/** @type {any} */ (names)[name]} value=${form[name] ?? ''} onChange=${(/** @type {string} */ value) => setForm((now) => ({ ...now, [name]: value }))} />`)}
      <div class="row filter-tools"><${Button} type="submit" icon="search">${t('Search')}<//></div></div></form>`}
    <section class="card">${state.problem && state.rows === null ? html`<${Failed} problem=${state.problem} onAgain=${() => load(null)} />` : state.rows === null ? html`<${Loading} lines=${8} />`
      : html`<${Table} label=${t('Audit')} rows=${state.rows} id=${(/** @type {any} */ row) => String(row.id ?? row.number ?? row.at)} columns=${columns(setOpen)} onOpen=${setOpen}
        empty=${html`<${Empty} icon="audit" title=${t('No change yet')}>${t('What is changed through the API, the command line or the file appears here.')}<//>`} />`}
      ${state.next && html`<div class="row more"><${Button} onClick=${() => load(state.next)}>${t('Older')}<//></div>`}</section>
    ${open && html`<${Entry} row=${open} onClose=${() => setOpen(null)} />`}`;
}

/** @param {(row: any) => void} onOpen */
function columns(onOpen) {
  const object = (/** @type {any} */ row) => [row.object ?? row.kind ?? row.subject, row.name ?? row.object_name ?? row.target].filter(Boolean).join(' ');
  return [
    { title: t('When'), cell: (/** @type {any} */ row) => html`<button class="name number" title=${exactly(row.at)} onClick=${() => onOpen(row)}>${when(row.at)}</button>` },
    { title: t('Who'), cell: (/** @type {any} */ row) => html`<span class="wrap-anywhere">${row.actor?.name ?? row.actor ?? '–'}</span>` },
    { title: t('From'), cell: (/** @type {any} */ row) => row.address ?? row.from ?? row.actor?.address ?? row.origin ?? '–' },
    { title: t('What'), cell: (/** @type {any} */ row) => html`<${Badge} tone="accent">${say(row.action)}<//>` },
    { title: t('On what'), cell: (/** @type {any} */ row) => html`<span class="wrap-anywhere">${object(row) || '–'}</span>` },
  ];
}

/** Each field of what was and what is, side by side where they differ. @param {{row: any, onClose: () => void}} props */
function Entry({ row, onClose }) {
  const [before, after] = [flat(row.before), flat(row.after)];
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => before[name] !== after[name]);
  const rows = [[t('When'), exactly(row.at)], [t('Who'), row.actor?.name ?? row.actor ?? '–'], [t('What'), say(row.action)], [t('Hash'), html`<code class="small">${row.hash ?? '–'}</code>`]];
  return html`<${Dialog} title=${t('A change')} kind="sheet" onClose=${onClose}><div class="stack"><${Pairs} rows=${rows} />
    <section><h3>${t('What changed')}</h3>${fields.length === 0 ? html`<p class="quiet">${t('Nothing that is shown.')}</p>` : html`<ul class="plain-list">${fields.map((name) => html`<li key=${name}><code>${name}</code>
      <div class="row small"><span class="bad wrap-anywhere">${before[name] ?? t('none')}</span> → <span class="good wrap-anywhere">${after[name] ?? t('none')}</span></div></li>`)}</ul>`}</section></div><//>`;
}

/** `{limits: {rpm: 4}}` as `limits.rpm`: "4". @param {any} value @param {string} [path] @returns {Record<string, string>} */
function flat(value, path = '') {
  if (value === null || value === undefined) return {};
  if (typeof value === 'string' && path === '' && value.startsWith('{')) return flat(JSON.parse(value));
  if (typeof value !== 'object' || Array.isArray(value)) return { [path || '·']: typeof value === 'object' ? JSON.stringify(value) : String(value) };
  return Object.assign({}, ...Object.entries(value).map(([name, inner]) => flat(inner, path ? `${path}.${name}` : name)));
}
