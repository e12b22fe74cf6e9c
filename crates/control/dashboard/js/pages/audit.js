// Who changed what, and when; each line is chained to the one before, so that a gap would show.
import { html, useState } from '../lib.js';
import { call } from '../state/api.js';
import { usePages } from '../state/pages.js';
import { count, exactly, when } from '../text/format.js';
import { say, t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { Dialog } from '../ui/dialog.js';
import { Export } from '../ui/export.js';
import { SelectField, TextField } from '../ui/fields.js';
import { Filters, useFilters } from '../ui/filters.js';
import { PageHead } from '../ui/page.js';
import { Empty, Notice } from '../ui/states.js';
import { Paged } from '../ui/table.js';
import { attempt } from '../ui/toasts.js';
import { Pairs } from './backends/details.js';

/** @import {Column} from '../ui/table.js' */
/** @import {AuditEntry} from '../state/shapes.js' */

const FILTERS = ['actor', 'action', 'kind', 'subject'];
const ACTIONS = ['change', 'create', 'delete', 'import', 'login', 'mint', 'reload', 'reset', 'rotate', 'view'];
const KINDS = ['account', 'admin token', 'alias', 'backend', 'backup', 'budget', 'capture', 'capture_rule', 'captures', 'configuration', 'key', 'price', 'session', 'setting', 'team', 'token', 'vault'];

export function Audit() {
  const filters = useFilters(FILTERS);
  const pages = usePages('/admin/audit', filters.wanted, { limit: 100 });
  const [open, setOpen] = useState(/** @type {any} */ (null));
  const [verdict, setVerdict] = useState(/** @type {any} */ (null));
  const [verifying, setVerifying] = useState(false);
  const verify = async () => {
    setVerifying(true);
    setVerdict(await attempt(() => call('GET', '/admin/audit/verify')));
    setVerifying(false);
  };
  const { field } = filters;
  const some = (/** @type {string[]} */ words) => [{ value: '', text: t('Any') }, ...words.map((value) => ({ value, text: say(value) }))];
  return html`<${PageHead} title=${t('Audit')} about=${t('Every change, chained to the one before: a missing or altered line would show.')}>
      ${pages.rows !== null && html`<${Button} icon="check" busy=${verifying} onClick=${verify}>${t('Verify the chain')}<//><${Export} kind="audit" wanted=${filters.wanted} />`}<//>
    ${verdict && html`<${Notice} tone=${verdict.breaks.length ? 'bad' : 'good'}>${verdict.breaks.length ? t('The chain is broken in {n} places', { n: count(verdict.breaks.length) }) : t('The chain holds: {n} entries', { n: count(verdict.entries) })}<//>`}
    ${pages.problem?.status !== 403 && html`<${Filters} of=${filters} onSearch=${pages.reload}>
      <${TextField} label=${t('Who')} ...${field('actor')} /><${SelectField} label=${t('What')} ...${field('action')} options=${some(ACTIONS)} />
      <${SelectField} label=${t('On what')} ...${field('kind')} options=${some(KINDS)} /><${TextField} label=${t('Its name')} ...${field('subject')} /><//>`}
    <section class="card"><${Paged} of=${pages} label=${t('Audit')} id=${(/** @type {any} */ row) => String(row.number)} columns=${columns(setOpen)} onOpen=${setOpen}
      empty=${html`<${Empty} icon="audit" title=${t('No change yet')}>${t('What is changed through the API, the command line or the file appears here.')}<//>`} /></section>
    ${open && html`<${Entry} row=${open} onClose=${() => setOpen(null)} />`}`;
}

/** @param {(row: any) => void} onOpen @returns {Column<AuditEntry>[]} */
function columns(onOpen) {
  return [
    { title: t('When'), cell: (row) => html`<button class="name number" title=${exactly(row.at)} onClick=${() => onOpen(row)}>${when(row.at)}</button>` },
    { title: t('Who'), cell: (row) => html`<span class="wrap-anywhere">${row.actor}</span>` },
    { title: t('From'), cell: (row) => html`<span class="soft">${[say(row.via), row.address].filter(Boolean).join(' · ')}</span>` },
    { title: t('What'), lead: true, cell: (row) => html`<${Badge} tone="accent">${say(row.action)}<//>` },
    { title: t('On what'), cell: (row) => html`<span class="wrap-anywhere">${say(row.kind)} ${row.subject}</span>` },
  ];
}

/** Each field of what was and what is, side by side where they differ. @param {{row: any, onClose: () => void}} props */
function Entry({ row, onClose }) {
  const [before, after] = [flat(row.before), flat(row.after)];
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => before[name] !== after[name]);
  const rows = [[t('When'), exactly(row.at)], [t('Who'), `${row.actor} (${[say(row.via), row.address].filter(Boolean).join(', ')})`], [t('What'), `${say(row.action)}: ${say(row.kind)} ${row.subject}`], [t('Hash'), html`<code class="small">${row.hash ?? '–'}</code>`]];
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
