// Captures: whole requests and answers, kept for a while for those who look for a fault; off until a rule says whose.
import { html, useState } from '../lib.js';
import { call, may } from '../state/api.js';
import { given, usePages } from '../state/pages.js';
import { useResource } from '../state/resource.js';
import { ask, query } from '../state/route.js';
import { bytes, count, exactly, when } from '../text/format.js';
import { t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { Confirm } from '../ui/dialog.js';
import { TextField } from '../ui/fields.js';
import { Filters, useFilters } from '../ui/filters.js';
import { PageHead } from '../ui/page.js';
import { Empty, Notice } from '../ui/states.js';
import { Paged } from '../ui/table.js';
import { attempt } from '../ui/toasts.js';
import { Capture, ended } from './captures/details.js';
import { RuleEditor, Rules } from './captures/rules.js';

/** @import {Column} from '../ui/table.js' */
/** @import {Captured} from '../state/shapes.js' */

const FILTERS = ['key', 'model', 'backend', 'status'];
const REFRESH_S = 5;

export function Captures() {
  const rules = useResource('/admin/captures/rules', { everySeconds: 15 });
  const filters = useFilters(FILTERS);
  const pages = usePages('/admin/captures', filters.wanted, { everySeconds: REFRESH_S });
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
    ${(page?.count > 0 || Object.keys(given(filters.wanted)).length > 0) && html`<${Filters} of=${filters} onSearch=${pages.reload}>
      <${TextField} label=${t('Key')} ...${filters.field('key')} /><${TextField} label=${t('Model')} ...${filters.field('model')} />
      <${TextField} label=${t('Backend')} ...${filters.field('backend')} /><${TextField} label=${t('Status')} ...${filters.field('status')} placeholder="5xx" /><//>`}
    <section class="card"><${Paged} of=${pages} label=${t('Captures')} id=${(/** @type {any} */ one) => one.id} columns=${columns(isAdmin, setLeaving)} onOpen=${isAdmin && ((/** @type {any} */ one) => ask({ open: one.id }))}
      empty=${html`<${Empty} icon="captures" title=${t('Nothing is captured')}>${t('A rule names a key, a model or everything, and an end.')}<//>`}
      foot=${page?.count > 0 && html`<span class="soft small">${t('{n} captures take {size}', { n: count(page.count), size: bytes(page.file_bytes) })}</span>`} /></section>
    ${ruling && html`<${RuleEditor} onClose=${() => setRuling(false)} onSaved=${rules.reload} />`}
    ${opened && html`<${Capture} id=${opened} onClose=${() => ask({ open: undefined })} />`}
    ${leaving && html`<${Confirm} title=${leaving.id ? t('Delete the capture?') : t('Delete all captures?')} action=${t('Delete')} onYes=${remove} onClose=${() => setLeaving(null)}>
      ${leaving.id ? t('Its file is removed. The receipt stays.') : t('Their files are removed. The receipts stay.')}<//>`}`;
}

/** @param {boolean} isAdmin @param {(one: any) => void} onLeave @returns {Column<Captured>[]} */
function columns(isAdmin, onLeave) {
  return [
    { title: t('When'), cell: (one) => (isAdmin ? html`<button class="name number" title=${exactly(one.at)} onClick=${() => ask({ open: one.id })}>${when(one.at)}</button>` : html`<span class="number">${when(one.at)}</span>`) },
    { title: t('Request'), cell: (one) => html`<code class="wrap-anywhere">${one.request_id}</code>` },
    { title: t('Model'), cell: (one) => html`<span class="wrap-anywhere">${one.model ?? '–'}</span>` },
    { title: t('Backend'), minor: true, cell: (one) => one.backend ?? '–' },
    { title: t('Key'), cell: (one) => html`<span class="wrap-anywhere">${one.key_name ?? one.key ?? t('none')}</span>` },
    { title: t('Status'), lead: true, cell: (one) => html`<${Badge} tone=${one.status >= 400 ? 'bad' : one.ended === 'whole' ? 'good' : 'warn'}>${one.status}${one.ended === 'whole' ? '' : ` · ${ended(one.ended)}`}<//>` },
    { title: t('Size'), number: true, cell: (one) => html`<span>${bytes(one.request_bytes)} → ${bytes(one.response_bytes)}</span>` },
    { title: t('Delete'), tools: true, hidden: !isAdmin, cell: (one) => html`<${Button} kind="small" icon="trash" label=${t('Delete the capture')} onClick=${() => onLeave(one)} />` },
  ];
}
