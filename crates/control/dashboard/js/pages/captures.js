// Captures: whole requests and answers, kept for a while for those who look for a fault; off until a rule says whose.
import { html, useEffect, useState } from '../lib.js';
import { Problem, call, may } from '../state/api.js';
import { useResource } from '../state/resource.js';
import { ask, query } from '../state/route.js';
import { bytes, count, exactly, when } from '../text/format.js';
import { t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { Confirm } from '../ui/dialog.js';
import { TextField } from '../ui/fields.js';
import { PageHead } from '../ui/page.js';
import { Empty, Failed, Loading, Notice } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { attempt } from '../ui/toasts.js';
import { Capture, ended } from './captures/details.js';
import { RuleEditor, Rules } from './captures/rules.js';

const FILTERS = ['key', 'model', 'backend', 'status'];

export function Captures() {
  const rules = useResource('/admin/captures/rules', { everySeconds: 15 });
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, query.value.get(name) ?? '']));
  const pages = usePages(wanted);
  const opened = query.value.get('open');
  const [ruling, setRuling] = useState(false);
  const [leaving, setLeaving] = useState(/** @type {any} */ (null));
  const remove = async () => {
    const one = leaving.id && `/admin/captures/${encodeURIComponent(leaving.id)}`;
    await attempt(() => call('DELETE', one || '/admin/captures?all=true'), one ? t('The capture is deleted') : t('All captures are deleted'));
    pages.reload();
  };
  const page = pages.page;
  const isAdmin = may('admin');
  return html`<${PageHead} title=${t('Captures')} about=${t('Whole requests and answers, for those who look for a fault. Nothing is captured until a rule says whose; credentials never are.')}>
      ${isAdmin && html`${page?.count > 0 && html`<${Button} kind="danger" icon="trash" onClick=${() => setLeaving({})}>${t('Delete all')}<//>`}
        <${Button} kind="primary" icon="plus" onClick=${() => setRuling(true)}>${t('Capture something')}<//>`}<//>
    <${Rules} rules=${rules.value?.rules ?? []} onChanged=${rules.reload} />
    ${page?.lost > 0 && html`<${Notice} tone="warn">${t('{n} captures were left out since the start, for want of room. No request was.', { n: count(page.lost) })}<//>`}
    ${!pages.problem && html`<${Filters} wanted=${wanted} onSearch=${pages.reload} />`}
    <section class="card">${pages.problem ? html`<${Failed} problem=${pages.problem} onAgain=${pages.reload} />` : pages.rows === null ? html`<${Loading} lines=${6} />`
      : html`<${Table} label=${t('Captures')} rows=${pages.rows} id=${(/** @type {any} */ one) => one.id} columns=${columns(isAdmin, setLeaving)} onOpen=${isAdmin && ((/** @type {any} */ one) => ask({ open: one.id }))}
        empty=${html`<${Empty} icon="captures" title=${t('Nothing is captured')}>${t('A rule names a key, a model or everything, and an end.')}<//>`} />`}
      ${page?.count > 0 && html`<div class="row more apart"><span class="soft small">${t('{n} captures take {size}', { n: count(page.count), size: bytes(page.file_bytes) })}</span>
        ${page.next && html`<${Button} busy=${pages.loading} onClick=${pages.more}>${t('Older')}<//>`}</div>`}</section>
    ${ruling && html`<${RuleEditor} onClose=${() => setRuling(false)} onSaved=${rules.reload} />`}
    ${opened && html`<${Capture} id=${opened} onClose=${() => ask({ open: undefined })} />`}
    ${leaving && html`<${Confirm} title=${leaving.id ? t('Delete the capture?') : t('Delete all captures?')} action=${t('Delete')} onYes=${remove} onClose=${() => setLeaving(null)}>
      ${leaving.id ? t('Its file is removed. The receipt stays.') : t('Their files are removed. The receipts stay.')}<//>`}`;
}

/** @param {boolean} isAdmin @param {(one: any) => void} onLeave */
function columns(isAdmin, onLeave) {
  return [
    { title: t('When'), cell: (/** @type {any} */ one) => (isAdmin ? html`<button class="name number" title=${exactly(one.at)} onClick=${() => ask({ open: one.id })}>${when(one.at)}</button>` : html`<span class="number">${when(one.at)}</span>`) },
    { title: t('Request'), cell: (/** @type {any} */ one) => html`<code class="wrap-anywhere">${one.request_id}</code>` },
    { title: t('Model'), cell: (/** @type {any} */ one) => html`<span class="wrap-anywhere">${one.model ?? '–'}</span>` },
    { title: t('Backend'), minor: true, cell: (/** @type {any} */ one) => one.backend ?? '–' },
    { title: t('Key'), cell: (/** @type {any} */ one) => html`<span class="wrap-anywhere">${one.key_name ?? one.key ?? t('none')}</span>` },
    { title: t('Status'), cell: (/** @type {any} */ one) => html`<${Badge} tone=${one.status >= 400 ? 'bad' : one.ended === 'whole' ? 'good' : 'warn'}>${one.status}${one.ended === 'whole' ? '' : ` · ${ended(one.ended)}`}<//>` },
    { title: t('Size'), number: true, cell: (/** @type {any} */ one) => html`<span>${bytes(one.request_bytes)} → ${bytes(one.response_bytes)}</span>` },
    { title: t('Delete'), tools: true, hidden: !isAdmin, cell: (/** @type {any} */ one) => html`<${Button} kind="small" icon="trash" label=${t('Delete the capture')} onClick=${() => onLeave(one)} />` },
  ];
}

/** @param {{wanted: Record<string, string>, onSearch: () => void}} props */
function Filters({ wanted, onSearch }) {
  const [form, setForm] = useState(wanted);
  const names = /** @type {Record<string, string>} */ ({ key: t('Key'), model: t('Model'), backend: t('Backend'), status: t('Status') });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    ask(Object.fromEntries(FILTERS.map((name) => [name, form[name]?.trim() || undefined])));
    onSearch();
  };
  return html`<form class="card" role="search" onSubmit=${submit}><div class="body filters">
    ${FILTERS.map((name) => html`<${TextField} key=${name} label=${names[name]} value=${form[name]} placeholder=${name === 'status' ? '5xx' : undefined} onChange=${(/** @type {string} */ value) => setForm((now) => ({ ...now, [name]: value }))} />`)}
    <div class="row filter-tools"><${Button} type="submit" icon="search">${t('Search')}<//></div></div></form>`;
}

/** Pages of captures; the first is looked at again now and then, while nobody reads further. @param {Record<string, string>} wanted */
function usePages(wanted) {
  const [state, setState] = useState(/** @type {{rows: any[] | null, page: any, problem: Problem | null, loading: boolean, further: boolean}} */ ({ rows: null, page: null, problem: null, loading: true, further: false }));
  const [turn, setTurn] = useState(0);
  const filters = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value)).toString();
  const load = (/** @type {string} */ cursor) => call('GET', `/admin/captures?limit=50${filters && `&${filters}`}${cursor && `&cursor=${cursor}`}`);
  useEffect(() => {
    let wantedStill = true;
    load('').then(
      (page) => wantedStill && setState({ rows: page.captures, page, problem: null, loading: false, further: false }),
      (problem) => wantedStill && setState({ rows: null, page: null, problem, loading: false, further: false }),
    );
    return () => {
      wantedStill = false;
    };
  }, [filters, turn]);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || state.further || setTurn((n) => n + 1), 5000);
    return () => clearInterval(timer);
  }, [state.further]);
  const more = async () => {
    setState((before) => ({ ...before, loading: true, further: true }));
    const page = await load(state.page.next).catch(() => null);
    setState((before) => (page ? { ...before, rows: [...(before.rows ?? []), ...page.captures], page, loading: false } : { ...before, loading: false }));
  };
  return { ...state, more, reload: () => setTurn((n) => n + 1) };
}
