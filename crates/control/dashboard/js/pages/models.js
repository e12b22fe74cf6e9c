// The models: who serves each, under which name and at which price; the other names that lead to them; the price list.
import { html, useState } from '../lib.js';
import { call, may } from '../state/api.js';
import { picture } from '../state/live.js';
import { useDelayed, usePages } from '../state/pages.js';
import { useResource } from '../state/resource.js';
import { Link } from '../state/route.js';
import { count, exactMoney, when } from '../text/format.js';
import { say, t } from '../text/text.js';
import { Badge, Button, Unusable } from '../ui/controls.js';
import { Confirm } from '../ui/dialog.js';
import { Editor, useForm } from '../ui/editor.js';
import { NumberField, TextField, listed } from '../ui/fields.js';
import { PageHead } from '../ui/page.js';
import { Empty, Shown } from '../ui/states.js';
import { Paged, Table } from '../ui/table.js';
import { Tabs } from '../ui/tabs.js';
import { attempt } from '../ui/toasts.js';

/** @import {Column} from '../ui/table.js' */
/** @import {Alias, Price} from '../state/shapes.js' */

/** @type {Record<string, string>} */
const TONES = { healthy: 'good', cooling: 'warn', error: 'bad', disabled: '' };

export function Models() {
  const tabs = [{ id: 'models', name: t('Models'), view: Mappings }, { id: 'aliases', name: t('Aliases'), view: Aliases }, { id: 'prices', name: t('Prices'), view: Prices }];
  return html`<${PageHead} title=${t('Models')} about=${t('What clients can ask for, and who answers.')} /><${Tabs} label=${t('Models')} tabs=${tabs} />`;
}

/** @typedef {{backend: string, native: string, price: any, context: number | null}} Server */

/** Each model with those that serve it; a backend that says itself what it serves is asked through the feed. @param {any[]} backends */
function mapped(backends) {
  /** @type {Map<string, Server[]>} */
  const models = new Map();
  for (const backend of backends) {
    const heard = (backend.status?.models ?? []).map((/** @type {any} */ one) => [one.native, { native: one.native }]);
    const own = backend.models ? Object.entries(backend.models) : heard;
    for (const [name, model] of own) {
      models.set(name, [...(models.get(name) ?? []), { backend: backend.name, native: model.native, price: model.price ?? null, context: model.context ?? null }]);
    }
  }
  return [...models].map(([name, servers]) => ({ name, servers })).sort((one, other) => one.name.localeCompare(other.name));
}

function Mappings() {
  const [wanted, setWanted] = useState('');
  const list = useResource('/admin/backends', { whole: true, everySeconds: 30 });
  const rows = mapped(list.value?.backends ?? []).filter((row) => row.name.toLowerCase().includes(wanted.toLowerCase()));
  const state = (/** @type {string} */ name) => picture.value?.live.backends.find((/** @type {any} */ one) => one.name === name)?.state;
  /** @type {Column[]} */
  const columns = [
    { title: t('Model'), cell: (row) => html`<span class="name wrap-anywhere">${row.name}</span>` },
    { title: t('Served by'), cell: (row) => html`<span class="row">${row.servers.map((/** @type {Server} */ one) => html`<${Link} key=${one.backend} to=${`/backends?open=${encodeURIComponent(one.backend)}`}><${Badge} tone=${TONES[state(one.backend) ?? ''] ?? ''}>${one.backend}<//><//>`)}</span>` },
    { title: t('As'), cell: (row) => html`<span class="soft wrap-anywhere">${[...new Set(row.servers.map((/** @type {Server} */ one) => one.native))].join(', ')}</span>` },
    { title: t('Input, $/M'), number: true, wide: true, cell: (row) => prices(row.servers, 'input') },
    { title: t('Output, $/M'), number: true, wide: true, cell: (row) => prices(row.servers, 'output') },
    { title: t('Context'), number: true, cell: (row) => count(Math.max(0, ...row.servers.map((/** @type {Server} */ one) => one.context ?? 0)) || null) },
  ];
  return html`<section class="card"><header><div><h2>${t('Mappings')}</h2><p>${t('They are changed with their backends.')}</p></div><div class="narrow"><${TextField} label=${t('Find a model')} placeholder=${t('Find a model')} value=${wanted} onChange=${setWanted} type="search" /></div></header>
    <${Shown} of=${list}>${() => html`<${Table} label=${t('Mappings')} rows=${rows} id=${(/** @type {any} */ row) => row.name} columns=${columns}
      empty=${html`<${Empty} icon="models" title=${t('No model')}>${t('Models come with backends.')} <${Link} to="/backends">${t('To the backends')}<//><//>`} />`}<//></section>`;
}

/** @param {Server[]} servers @param {string} field */
function prices(servers, field) {
  const all = [...new Set(servers.filter((one) => one.price).map((one) => Number(one.price[field])))].sort((one, other) => one - other);
  if (all.length === 0) return html`<span class="quiet">${t('by the table')}</span>`;
  return all.length === 1 ? exactMoney(all[0]) : `${exactMoney(all[0])} – ${exactMoney(all.at(-1))}`;
}

function Aliases() {
  const list = useResource('/admin/aliases', { whole: true, everySeconds: 30 });
  const [editing, setEditing] = useState(/** @type {any} */ (null));
  const change = may('operator') && list.value !== undefined;
  /** @type {Column<Alias>[]} */
  const columns = [
    { title: t('Alias'), cell: (row) => html`<span class="name wrap-anywhere">${row.name}</span>${row.problem && html` <${Unusable} why=${row.problem} />`}` },
    { title: t('Leads to, in this order'), cell: (row) => html`<span class="wrap-anywhere">${row.targets.join(' → ')}</span>` },
    { title: t('Source'), cell: (row) => html`<${Badge}>${say(row.source)}<//>` },
    { title: t('Change'), tools: true, hidden: !change, cell: (row) => row.source === 'api' && html`<${Button} kind="small" icon="edit" label=${t('Edit {name}', { name: row.name })} onClick=${() => setEditing(row)} />` },
  ];
  return html`<section class="card"><header><h2>${t('Aliases')}</h2>${change && html`<${Button} icon="plus" kind="primary" onClick=${() => setEditing({})}>${t('Add alias')}<//>`}</header>
    <${Shown} of=${list}>${(/** @type {any} */ value) => html`<${Table} label=${t('Aliases')} rows=${value.aliases} id=${(/** @type {any} */ row) => row.name} columns=${columns}
      empty=${html`<${Empty} icon="models" title=${t('No alias')}>${t('An alias is another name for a model, or for several that are tried in turn.')}<//>`} />`}<//></section>
    ${editing && html`<${AliasEditor} alias=${editing} onClose=${() => setEditing(null)} onSaved=${list.reload} />`}`;
}

/** @param {{alias: any, onClose: () => void, onSaved: () => void}} props */
function AliasEditor({ alias, onClose, onSaved }) {
  const isNew = !alias.name;
  const done = () => {
    onSaved();
    onClose();
  };
  const of = useForm(() => ({ name: alias.name ?? '', targets: (alias.targets ?? []).join(', ') }), ['name', 'targets'], done);
  const { form } = of;
  const at = `/admin/aliases/${encodeURIComponent(alias.id ?? '')}`;
  const save = () => {
    const [name, targets] = [form.name.trim(), listed(form.targets)];
    of.send(() => (isNew ? call('POST', '/admin/aliases', { body: { name, targets } }) : call('PATCH', at, { body: { targets }, revision: alias.revision })), t('{name} is saved', { name }));
  };
  return html`<${Editor} of=${of} title=${isNew ? t('Add alias') : t('Edit {name}', { name: alias.name })} kind="box small" name=${alias.name} onSubmit=${save} onClose=${onClose} onDone=${done}
      onDelete=${isNew ? undefined : () => call('DELETE', at, { revision: alias.revision })}>
    <${TextField} label=${t('Alias')} ...${of.field('name')} disabled=${!isNew} placeholder="smart" />
    <${TextField} label=${t('Models, in order')} ...${of.field('targets')} placeholder="deepseek-v4, qwen-max" hint=${t('A comma between two.')} /><//>`;
}

function Prices() {
  const [wanted, setWanted] = useState('');
  const [editing, setEditing] = useState(/** @type {any} */ (null));
  const pages = usePages('/admin/prices', { search: useDelayed(wanted) });
  const [leaving, setLeaving] = useState(/** @type {any} */ (null));
  const change = may('operator') && pages.rows !== null;
  const of = (/** @type {any} */ row, /** @type {string} */ field) => exactMoney(row[field]);
  const remove = async () => {
    await attempt(() => call('DELETE', `/admin/prices/${encodeURIComponent(leaving.id)}`, { revision: leaving.revision }), t('{name} is deleted', { name: leaving.model }));
    pages.reload();
  };
  /** @type {Column<Price>[]} */
  const columns = [
    { title: t('Model'), cell: (row) => html`<span class="name wrap-anywhere">${row.model}</span>${row.problem && html` <${Unusable} why=${row.problem} />`}` },
    { title: t('Input, $/M'), number: true, cell: (row) => of(row, 'input') },
    { title: t('Cached, $/M'), number: true, cell: (row) => of(row, 'cached_input') },
    { title: t('Output, $/M'), number: true, cell: (row) => of(row, 'output') },
    { title: t('Picture, $'), number: true, wide: true, cell: (row) => (Number(row.image) ? of(row, 'image') : '–') },
    { title: t('Since'), number: true, wide: true, cell: (row) => (row.since ? when(row.since) : '–') },
    { title: t('Source'), short: true, cell: (row) => (row.source ? html`<${Badge}>${say(row.source)}<//>` : '–') },
    { title: t('Change'), tools: true, hidden: !change, cell: (row) => html`<span class="row"><${Button} kind="small" icon="edit" label=${t('Edit {name}', { name: row.model })} onClick=${() => setEditing(row)} />
      ${row.id && html`<${Button} kind="small" icon="trash" label=${t('Remove {name}', { name: row.model })} onClick=${() => setLeaving(row)} />`}</span>` },
  ];
  return html`<section class="card"><header><div><h2>${t('Prices')}</h2><p>${t('In US dollars per million tokens. A receipt keeps the version it was charged with.')}</p></div>
      <div class="row"><div class="narrow"><${TextField} label=${t('Find a model')} placeholder=${t('Find a model')} value=${wanted} onChange=${setWanted} type="search" /></div>${change && html`<${Button} kind="primary" icon="plus" onClick=${() => setEditing({})}>${t('Set a price')}<//>`}</div></header>
    <${Paged} of=${pages} label=${t('Prices')} id=${(/** @type {any} */ row) => `${row.source}/${row.model}/${row.since ?? ''}/${row.version}`} columns=${columns}
      empty=${html`<${Empty} icon="usage" title=${t('No price found')} />`} more=${t('More')} /></section>
    ${leaving && html`<${Confirm} title=${t('Remove {name}', { name: leaving.model })} action=${t('Delete')} onYes=${remove} onClose=${() => setLeaving(null)}>${t('The price of the table or the file holds again.')}<//>`}
    ${editing && html`<${PriceEditor} row=${editing} onClose=${() => setEditing(null)} onSaved=${pages.reload} />`}`;
}

/** @param {{row: any, onClose: () => void, onSaved: () => void}} props */
function PriceEditor({ row, onClose, onSaved }) {
  // Kinds that have no field here stay as they are.
  const kinds = ['input', 'cached_input', 'cache_write', 'cache_write_1h', 'output', 'reasoning', 'audio_input', 'audio_output', 'image', 'request'];
  const first = () => Object.fromEntries(['model', ...kinds].map((field) => [field, String(row[field] ?? '')]));
  const of = useForm(first, Object.keys(first()), () => {
    onSaved();
    onClose();
  });
  const save = () => {
    const { model, ...amounts } = of.form;
    const price = Object.fromEntries(Object.entries(amounts).filter(([, value]) => value !== ''));
    of.send(() => call('PUT', '/admin/prices', { body: { prices: [{ model: model.trim(), since: new Date().toISOString(), price }] } }), t('{name} is saved', { name: model }));
  };
  return html`<${Editor} of=${of} title=${t('Set a price')} kind="box small" onSubmit=${save} onClose=${onClose}>
    <${TextField} label=${t('Model')} ...${of.field('model')} disabled=${Boolean(row.model)} /><${NumberField} label=${t('Input, $/M')} ...${of.field('input')} />
    <${NumberField} label=${t('Cached, $/M')} ...${of.field('cached_input')} /><${NumberField} label=${t('Output, $/M')} ...${of.field('output')} />
    <${NumberField} label=${t('Picture, $')} ...${of.field('image')} /><//>`;
}
