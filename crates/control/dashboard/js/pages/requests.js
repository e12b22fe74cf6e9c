// The requests: what came, found again by whatever is known of it, newest first; one opens with its whole story.
import { html, useState } from '../lib.js';
import { useNames } from '../state/names.js';
import { given, usePages } from '../state/pages.js';
import { Link, ask, query } from '../state/route.js';
import { count, exactly, money, short, span, tokensIn, when } from '../text/format.js';
import { say, t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { Export } from '../ui/export.js';
import { MomentField, SelectField, TextField } from '../ui/fields.js';
import { Filters, useFilters } from '../ui/filters.js';
import { PageHead } from '../ui/page.js';
import { Empty } from '../ui/states.js';
import { Paged } from '../ui/table.js';
import { ExplainDialog } from './requests/explain.js';
import { RequestDetails } from './requests/details.js';

/** @import {Column} from '../ui/table.js' */
/** @import {Receipt} from '../state/shapes.js' */

const FILTERS = ['q', 'key', 'team', 'model', 'backend', 'outcome', 'status', 'tag', 'from', 'to'];
const REFRESH_S = 5;
const OUTCOMES = ['completed', 'failed', 'cancelled', 'interrupted'];

/** @type {Record<string, string>} */
export const OUTCOME_TONES = { completed: 'good', failed: 'bad', cancelled: '', interrupted: 'warn' };

export function Requests() {
  const filters = useFilters(FILTERS);
  const opened = query.value.get('open');
  const [asking, setAsking] = useState(false);
  const pages = usePages('/admin/requests', filters.wanted, { everySeconds: opened ? 0 : REFRESH_S });
  return html`<${PageHead} title=${t('Requests')} about=${t('Every request leaves a receipt. Find one by its id, or by who, what and where.')}>
      <${Button} onClick=${() => setAsking(true)}>${t('Explain')}<//><${Export} kind="requests" wanted=${filters.wanted} /><//>
    <${Search} filters=${filters} onSearch=${pages.reload} />
    <section class="card"><${Paged} of=${pages} label=${t('Requests')} id=${(/** @type {any} */ row) => row.ticket} columns=${columns()} onOpen=${(/** @type {any} */ row) => ask({ open: row.request_id })}
      empty=${html`<${NoRequest} isMore=${pages.more !== null} isNarrowed=${Object.keys(given(filters.wanted)).length > 0} />`} /></section>
    ${asking && html`<${ExplainDialog} onClose=${() => setAsking(false)} />`}
    ${opened && html`<${RequestDetails} id=${opened} onClose=${() => ask({ open: undefined })} />`}`;
}

/** @param {{isMore: boolean, isNarrowed: boolean}} props */
function NoRequest({ isMore, isNarrowed }) {
  if (isMore) return html`<${Empty} icon="requests" title=${t('Nothing so far')}>${t('There is more to look through.')}<//>`;
  if (isNarrowed) return html`<${Empty} icon="search" title=${t('No request found')}>${t('Look for less.')}<//>`;
  return html`<${Empty} icon="requests" title=${t('No request yet')}><${Link} to="/playground">${t('Send something from the playground')}<//><//>`;
}

/** @param {{filters: ReturnType<typeof useFilters>, onSearch: () => void}} props */
function Search({ filters, onSearch }) {
  const { field } = filters;
  const outcomes = [{ value: '', text: t('Any') }, ...OUTCOMES.map((value) => ({ value, text: say(value) }))];
  return html`<${Filters} of=${filters} onSearch=${onSearch}>
    <${TextField} wide=${true} label=${t('Request id')} ...${field('q')} placeholder=${t('Request id, or a part of it')} type="search" />
    <${TextField} label=${t('Model')} ...${field('model')} list=${useNames('models')} /><${TextField} label=${t('Backend')} ...${field('backend')} list=${useNames('backends')} />
    <${TextField} label=${t('Key')} ...${field('key')} list=${useNames('keys')} /><${TextField} label=${t('Team')} ...${field('team')} list=${useNames('teams')} />
    <${SelectField} label=${t('Outcome')} ...${field('outcome')} options=${outcomes} />
    <${TextField} label=${t('Status')} ...${field('status')} placeholder="5xx" /><${TextField} label=${t('Tag')} ...${field('tag')} placeholder="app=web" />
    <${MomentField} label=${t('From')} ...${field('from')} /><${MomentField} label=${t('To')} ...${field('to')} /><//>`;
}

/** @returns {Column<Receipt>[]} */
function columns() {
  return [
    { title: t('When'), cell: (row) => html`<button class="name number" title=${exactly(row.at)} onClick=${() => ask({ open: row.request_id })}>${when(row.at)}</button>` },
    { title: t('Outcome'), lead: true, cell: (row) => html`<span class="row"><${Badge} tone=${OUTCOME_TONES[row.outcome]}>${row.status} ${say(row.outcome)}<//></span>` },
    { title: t('Model'), cell: (row) => html`<div class="wrap-anywhere">${row.model_served ?? row.model_asked}${row.model_served && row.model_served !== row.model_asked ? html`<div class="quiet small">${t('asked for {name}', { name: row.model_asked })}</div>` : ''}</div>` },
    { title: t('Backend'), short: true, cell: (row) => html`<span>${row.backend ?? '–'}${row.attempts > 1 ? html` <span class="quiet small">×${row.attempts}</span>` : ''}</span>` },
    { title: t('Key'), minor: true, cell: (row) => html`<span class="wrap-anywhere">${row.key ?? html`<span class="quiet">${t('none')}</span>`}</span>` },
    { title: t('First token'), number: true, minor: true, cell: (row) => span(row.first_event_ms) },
    { title: t('Total'), number: true, cell: (row) => span(row.total_ms) },
    { title: t('Tokens'), number: true, cell: (row) => html`<span title=${`${count(tokensIn(row.usage))} → ${count(row.usage.output)}`}>${short(tokensIn(row.usage))} → ${short(row.usage.output)}</span>` },
    { title: t('Cost'), number: true, cell: (row) => (row.unpriced ? html`<span class="quiet">${t('no price')}</span>` : money(row.cost)) },
  ];
}
