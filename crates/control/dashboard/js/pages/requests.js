// The requests: what came, found again by whatever is known of it, newest first; one opens with its whole story.
import { html, useEffect, useState } from '../lib.js';
import { Problem, call } from '../state/api.js';
import { ask, query } from '../state/route.js';
import { count, exactly, money, short, span, tokensIn, when } from '../text/format.js';
import { say, t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { SelectField, TextField } from '../ui/fields.js';
import { PageHead } from '../ui/page.js';
import { Empty, Failed, Loading } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { ExplainCard } from './requests/explain.js';
import { RequestDetails } from './requests/details.js';
import { Export } from '../ui/export.js';

const FILTERS = ['q', 'key', 'team', 'model', 'backend', 'outcome', 'status', 'tag', 'from', 'to'];
const OUTCOMES = ['completed', 'failed', 'cancelled', 'interrupted'];

/** @type {Record<string, string>} */
export const OUTCOME_TONES = { completed: 'good', failed: 'bad', cancelled: '', interrupted: 'warn' };

export function Requests() {
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, query.value.get(name) ?? '']));
  const pages = usePages(wanted);
  const opened = query.value.get('open');
  const [form, setForm] = useState(wanted);
  const field = (/** @type {string} */ name) => ({ value: form[name], onChange: (/** @type {string} */ value) => setForm((now) => ({ ...now, [name]: value })) });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    ask(Object.fromEntries(FILTERS.map((name) => [name, form[name]?.trim() || undefined])));
    pages.reload();
  };
  const clear = () => {
    setForm(Object.fromEntries(FILTERS.map((name) => [name, ''])));
    ask(Object.fromEntries(FILTERS.map((name) => [name, undefined])));
  };
  const outcomes = [{ value: '', text: t('Any') }, ...OUTCOMES.map((value) => ({ value, text: say(value) }))];
  return html`<${PageHead} title=${t('Requests')} about=${t('Every request leaves a receipt. Find one by its id, or by who, what and where.')}>
      <${Export} kind="requests" wanted=${wanted} /><//>
    <form class="card" onSubmit=${submit} role="search"><div class="body filters">
      <${TextField} wide label=${t('Search')} ...${field('q')} placeholder=${t('Request id, or a part of it')} type="search" />
      <${TextField} label=${t('Model')} ...${field('model')} /><${TextField} label=${t('Backend')} ...${field('backend')} />
      <${TextField} label=${t('Key')} ...${field('key')} /><${TextField} label=${t('Team')} ...${field('team')} />
      <${SelectField} label=${t('Outcome')} ...${field('outcome')} options=${outcomes} />
      <${TextField} label=${t('Status')} ...${field('status')} placeholder="5xx" /><${TextField} label=${t('Tag')} ...${field('tag')} placeholder="app=web" />
      <${TextField} label=${t('From')} ...${field('from')} placeholder="2026-11-21T00:00:00Z" /><${TextField} label=${t('To')} ...${field('to')} />
      <div class="row filter-tools"><${Button} type="submit" kind="primary" icon="search">${t('Search')}<//><${Button} kind="plain" onClick=${clear}>${t('Clear')}<//></div>
    </div></form>
    <section class="card">
      ${pages.problem ? html`<${Failed} problem=${pages.problem} onAgain=${pages.reload} />` : pages.rows === null ? html`<${Loading} lines=${8} />` : html`<${Table} label=${t('Requests')} rows=${pages.rows} id=${(/** @type {any} */ row) => row.ticket} columns=${columns()}
        onOpen=${(/** @type {any} */ row) => ask({ open: row.request_id })} empty=${html`<${Empty} icon="requests" title=${pages.next ? t('Nothing so far') : t('No request found')}>${pages.next ? t('There is more to look through.') : t('Send one from the playground, or look for less.')}<//>`} />`}
      ${pages.next && html`<div class="row more"><${Button} busy=${pages.loading} onClick=${pages.more}>${t('Older')}<//></div>`}
    </section>
    <${ExplainCard} />
    ${opened && html`<${RequestDetails} id=${opened} onClose=${() => ask({ open: undefined })} />`}`;
}

/** Pages of receipts, the next one on request. @param {Record<string, string>} wanted */
function usePages(wanted) {
  const empty = /** @type {{rows: any[] | null, next: string | null, problem: Problem | null, loading: boolean}} */ ({ rows: null, next: null, problem: null, loading: true });
  const [state, setState] = useState(empty);
  const [turn, setTurn] = useState(0);
  const filters = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value)).toString();
  useEffect(() => {
    let wantedStill = true;
    setState((before) => ({ ...before, loading: true }));
    call('GET', `/admin/requests?limit=50${filters ? `&${filters}` : ''}`).then(
      (page) => wantedStill && setState({ rows: page.requests, next: page.next ?? null, problem: null, loading: false }),
      (problem) => wantedStill && setState({ ...empty, problem, loading: false }),
    );
    return () => {
      wantedStill = false;
    };
  }, [filters, turn]);
  const more = async () => {
    setState((before) => ({ ...before, loading: true }));
    const page = await call('GET', `/admin/requests?limit=50&cursor=${state.next}${filters ? `&${filters}` : ''}`).catch(() => null);
    setState((before) => (page ? { ...before, rows: [...(before.rows ?? []), ...page.requests], next: page.next ?? null, loading: false } : { ...before, loading: false }));
  };
  return { ...state, more, reload: () => setTurn((n) => n + 1) };
}

function columns() {
  return [
    { title: t('When'), cell: (/** @type {any} */ row) => html`<button class="name number" title=${exactly(row.at)} onClick=${() => ask({ open: row.request_id })}>${when(row.at)}</button>` },
    { title: t('Outcome'), cell: (/** @type {any} */ row) => html`<span class="row"><${Badge} tone=${OUTCOME_TONES[row.outcome]}>${row.status} ${say(row.outcome)}<//></span>` },
    { title: t('Model'), cell: (/** @type {any} */ row) => html`<div class="wrap-anywhere">${row.model_served ?? row.model_asked}${row.model_served && row.model_served !== row.model_asked ? html`<div class="quiet small">${t('asked for {name}', { name: row.model_asked })}</div>` : ''}</div>` },
    { title: t('Backend'), cell: (/** @type {any} */ row) => html`<span>${row.backend ?? '–'}${row.attempts > 1 ? html` <span class="quiet small">×${row.attempts}</span>` : ''}</span>` },
    { title: t('Key'), minor: true, cell: (/** @type {any} */ row) => html`<span class="wrap-anywhere">${row.key ?? html`<span class="quiet">${t('none')}</span>`}</span>` },
    { title: t('First token'), number: true, minor: true, cell: (/** @type {any} */ row) => span(row.first_event_ms) },
    { title: t('Total'), number: true, cell: (/** @type {any} */ row) => span(row.total_ms) },
    { title: t('Tokens'), number: true, cell: (/** @type {any} */ row) => html`<span title=${`${count(tokensIn(row.usage))} → ${count(row.usage.output)}`}>${short(tokensIn(row.usage))} → ${short(row.usage.output)}</span>` },
    { title: t('Cost'), number: true, minor: true, cell: (/** @type {any} */ row) => (row.unpriced ? html`<span class="quiet">${t('no price')}</span>` : money(row.cost)) },
  ];
}
