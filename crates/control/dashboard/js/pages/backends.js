// The backends: how each stands, and everything that can be done to one.
import { html, useState } from '../lib.js';
import { call, may } from '../state/api.js';
import { picture } from '../state/live.js';
import { useResource } from '../state/resource.js';
import { ask, query } from '../state/route.js';
import { count, percent } from '../text/format.js';
import { say, t } from '../text/text.js';
import { Badge, Button, Meter } from '../ui/controls.js';
import { PageHead } from '../ui/page.js';
import { Empty, Shown } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { attempt } from '../ui/toasts.js';
import { BackendDetails } from './backends/details.js';
import { BackendEditor } from './backends/editor.js';
import { PaceBadge, StateBadge, cooldownEnds } from './backends/state.js';

/** @import {Column} from '../ui/table.js' */

export function Backends() {
  const list = useResource('/admin/backends', { whole: true, everySeconds: 30 });
  const [editing, setEditing] = useState(/** @type {any} */ (null));
  const backends = (list.value?.backends ?? []).map(refreshed);
  const openName = query.value.get('open');
  const open = backends.find((/** @type {any} */ one) => one.name === openName);
  const pools = [...new Set(['primary', 'fallback', ...backends.map((/** @type {any} */ one) => one.pool).filter(Boolean)])];
  const edit = (/** @type {any} */ backend) => {
    ask({ open: undefined });
    setEditing(backend);
  };
  return html`<${PageHead} title=${t('Backends')} about=${t('Accounts, servers and processes that serve models. Those from the file or the environment are changed there.')}>
      ${may('admin') && html`<${Button} kind="primary" icon="plus" onClick=${() => setEditing({})}>${t('Add backend')}<//>`}<//>
    <section class="card"><${Shown} of=${list}>${() => html`<${Table} label=${t('Backends')} rows=${backends} id=${(/** @type {any} */ one) => one.id} columns=${columns()}
      dim=${(/** @type {any} */ one) => !one.enabled} onOpen=${(/** @type {any} */ one) => ask({ open: one.name })}
      empty=${html`<${Empty} icon="backends" title=${t('No backend yet')}>${t('Add an account at a provider, or a server of your own, and its models can be asked for at once.')}<//>`} />`}<//></section>
    ${open && html`<${BackendDetails} backend=${open} onClose=${() => ask({ open: undefined })} onEdit=${() => edit(open)} onChanged=${list.reload} />`}
    ${editing && html`<${BackendEditor} backend=${editing} pools=${pools} onClose=${() => setEditing(null)} onSaved=${list.reload} />`}`;
}

/** With its standing of this second, where the feed knows it. @param {any} backend */
function refreshed(backend) {
  const live = picture.value?.live.backends.find((/** @type {any} */ one) => one.name === backend.name);
  return { ...backend, status: live ?? backend.status };
}

/** A switch is worth a click of its own; all else is behind the name. @param {any} backend @param {() => void} onDone */
export async function toggle(backend, onDone) {
  const verb = backend.enabled ? 'disable' : 'enable';
  const done = backend.enabled ? t('{name} is disabled', { name: backend.name }) : t('{name} is enabled', { name: backend.name });
  await attempt(() => call('POST', `/admin/backends/${encodeURIComponent(backend.id)}/${verb}`), done);
  onDone();
}

/** @returns {Column[]} */
function columns() {
  const of = (/** @type {any} */ one) => one.status ?? {};
  return [
    { title: t('Backend'), cell: (one) => html`<div><button class="name" onClick=${() => ask({ open: one.name })}>${one.name}</button>
        <div class="quiet small">${one.kind ?? '–'}${one.problem ? html` · <span class="bad">${t('cannot be used')}</span>` : ''}</div></div>` },
    { title: t('State'), lead: true, cell: (one) => html`<${StateBadge} status=${one.status} ends=${cooldownEnds(one.status)} />` },
    { title: t('Pool'), short: true, cell: (one) => one.pool ?? '–' },
    { title: t('In flight'), number: true, cell: (one) => html`${count(of(one).in_flight ?? null)}${of(one).concurrency ? html`<span class="quiet"> / ${count(of(one).concurrency)}</span>` : ''}` },
    { title: t('Bucket'), cell: (one) => bucket(of(one), one.name) },
    { title: t('Rate'), number: true, cell: (one) => rateOf(of(one)) },
    { title: t('Retreat'), short: true, cell: (one) => html`<${PaceBadge} pace=${of(one).pace} />` },
    { title: t('Calls'), number: true, cell: (one) => count(of(one).requests ?? null) },
    { title: t('Failed'), number: true, cell: (one) => (of(one).requests ? html`<span title=${count(of(one).failures)}>${percent((100 * of(one).failures) / of(one).requests)}</span>` : '–') },
    { title: t('Source'), minor: true, cell: (one) => html`<${Badge}>${say(one.source)}<//>` },
  ];
}

/** @param {any} status @param {string} name */
function bucket(status, name) {
  if (status.bucket_level === undefined) return '–';
  if (status.bucket_level === null) return html`<span class="quiet">${t('no limit')}</span>`;
  const share = status.bucket_level / Math.max(1, status.bucket_capacity);
  return html`<div class="bucket"><${Meter} tone=${share === 0 ? 'bad' : share < 0.2 ? 'warn' : 'good'} share=${share} label=${t('Bucket, {name}', { name })} />
    <span class="number small">${count(status.bucket_level)}/${count(status.bucket_capacity)}</span></div>`;
}

/** The rate in force, beside its own where it is slower. @param {any} status */
export function rateOf(status) {
  if (status.rpm === undefined) return '–';
  if (status.rpm === null) return html`<span class="quiet">${t('no limit')}</span>`;
  if (status.rpm >= status.rpm_base) return t('{n}/min', { n: count(status.rpm) });
  return html`<span class="warn">${t('{n} of {base}/min', { n: count(status.rpm), base: count(status.rpm_base) })}</span>`;
}
