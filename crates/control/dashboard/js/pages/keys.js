// Who may ask: keys, the teams they belong to, and what they may spend.
import { html, useState } from '../lib.js';
import { may } from '../state/api.js';
import { useResource } from '../state/resource.js';
import { ask, query } from '../state/route.js';
import { ago, count, money, moment, percent, when } from '../text/format.js';
import { PERIODS } from '../text/events.js';
import { say, t } from '../text/text.js';
import { Badge, Button, Meter, Unusable } from '../ui/controls.js';
import { PageHead } from '../ui/page.js';
import { Empty, Shown } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { Tabs } from '../ui/tabs.js';
import { BudgetEditor, TeamEditor } from './keys/money.js';
import { KeyDetails } from './keys/details.js';
import { KeyEditor } from './keys/editor.js';
import { SecretOnce } from './keys/secret.js';

/** @import {Column} from '../ui/table.js' */
/** @import {Budget, Key, Team} from '../state/shapes.js' */

export function Keys() {
  const tabs = [{ id: 'keys', name: t('Keys'), view: KeyList }, { id: 'teams', name: t('Teams'), view: Teams }, { id: 'budgets', name: t('Budgets'), view: Budgets }];
  return html`<${PageHead} title=${t('Keys & teams')} about=${t('A key is what a client presents. Its secret is shown once and kept as a digest only.')} />
    <${Tabs} label=${t('Keys & teams')} tabs=${tabs} />`;
}

function KeyList() {
  const list = useResource('/admin/keys', { whole: true, everySeconds: 30 });
  const teams = useResource('/admin/teams', { whole: true });
  const [editing, setEditing] = useState(/** @type {any} */ (null));
  const [given, setGiven] = useState(/** @type {any} */ (null));
  const keys = list.value?.keys ?? [];
  const open = keys.find((/** @type {any} */ key) => key.id === query.value.get('open'));
  const names = [...new Set([...(teams.value?.teams ?? []).map((/** @type {any} */ team) => team.name), ...keys.map((/** @type {any} */ key) => key.team).filter(Boolean)])];
  const gave = (/** @type {any} */ key) => {
    setGiven(key);
    list.reload();
  };
  return html`<section class="card"><header><h2>${t('Keys')}</h2>${may('admin') && html`<${Button} kind="primary" icon="plus" onClick=${() => setEditing({})}>${t('Create key')}<//>`}</header>
    <${Shown} of=${list}>${() => html`<${Table} label=${t('Keys')} rows=${keys} id=${(/** @type {any} */ key) => key.id} columns=${keyColumns()} dim=${(/** @type {any} */ key) => !key.enabled}
      onOpen=${(/** @type {any} */ key) => ask({ open: key.id })} empty=${html`<${Empty} icon="keys" title=${t('No key yet')}>${t('While there is none, only programs on this machine are served.')}<//>`} />`}<//></section>
    ${open && !editing && html`<${KeyDetails} entry=${open} onClose=${() => ask({ open: undefined })} onChanged=${list.reload} onGiven=${gave} onEdit=${() => setEditing(open)} />`}
    ${editing && html`<${KeyEditor} entry=${editing} teams=${names} onClose=${() => setEditing(null)} onSaved=${list.reload} onGiven=${gave} />`}
    ${given && html`<${SecretOnce} entry=${given} onClose=${() => setGiven(null)} />`}`;
}

/** @param {any} key */
export function KeyState({ entry }) {
  const expires = moment(entry.expires);
  if (entry.problem) return html`<${Unusable} why=${entry.problem} />`;
  if (!entry.enabled) return html`<${Badge}>${t('Disabled')}<//>`;
  if (expires !== null && expires < Date.now()) return html`<${Badge} tone="bad">${t('Expired')}<//>`;
  if (entry.former_valid_until) return html`<${Badge} tone="accent" title=${when(entry.former_valid_until)}>${t('Two secrets')}<//>`;
  return html`<${Badge} tone="good">${t('Active')}<//>`;
}

/** @returns {Column<Key>[]} */
function keyColumns() {
  return [
    { title: t('Key'), cell: (key) => html`<div><button class="name" onClick=${() => ask({ open: key.id })}>${key.name}</button><div class="quiet small"><code>${key.key}</code></div></div>` },
    { title: t('State'), lead: true, cell: (key) => html`<${KeyState} entry=${key} />` },
    { title: t('Team'), short: true, cell: (key) => key.team ?? html`<span class="quiet">${t('none')}</span>` },
    { title: t('Limits'), cell: limitsOf },
    { title: t('Models'), cell: (key) => html`<span class="wrap-anywhere">${(key.models ?? []).join(', ') || t('all')}</span>` },
    { title: t('Last used'), number: true, cell: (key) => html`<span class="soft">${key.source === 'api' ? ago(key.last_used) : '–'}</span>` },
    { title: t('Expires'), number: true, wide: true, cell: (key) => (key.expires ? when(key.expires) : html`<span class="quiet">${t('no end')}</span>`) },
    { title: t('Source'), minor: true, cell: (key) => html`<${Badge}>${say(key.source)}<//>` },
  ];
}

/** @param {import('../state/shapes.js').Limits} of */
function limitsOf({ rpm, tpm, concurrency }) {
  const limits = [rpm && t('{n} req/min', { n: count(rpm) }), tpm && t('{n} tok/min', { n: count(tpm) }), concurrency && t('{n} at once', { n: count(concurrency) })];
  return limits.filter(Boolean).join(' · ') || html`<span class="quiet">${t('none')}</span>`;
}

function Teams() {
  const list = useResource('/admin/teams', { whole: true, everySeconds: 30 });
  const [editing, setEditing] = useState(/** @type {any} */ (null));
  const teams = list.value?.teams ?? [];
  const change = may('operator') && list.value !== undefined;
  /** @type {Column<Team>[]} */
  const columns = [
    { title: t('Team'), cell: (team) => html`<span class="name">${team.name}</span>${team.problem && html` <${Unusable} why=${team.problem} />`}` },
    { title: t('Limits'), cell: limitsOf },
    { title: t('Keys'), cell: (team) => html`<span class="wrap-anywhere">${(team.keys ?? []).join(', ') || html`<span class="quiet">${t('none')}</span>`}</span>` },
    { title: t('Models'), cell: (team) => (team.models ?? []).join(', ') || t('all') },
    { title: t('Source'), minor: true, cell: (team) => html`<${Badge}>${say(team.source)}<//>` },
    { title: t('Change'), tools: true, hidden: !change, cell: (team) => team.source === 'api' && html`<${Button} kind="small" icon="edit" label=${t('Edit {name}', { name: team.name })} onClick=${() => setEditing(team)} />` },
  ];
  return html`<section class="card"><header><h2>${t('Teams')}</h2>${change && html`<${Button} kind="primary" icon="plus" onClick=${() => setEditing({})}>${t('Create team')}<//>`}</header>
    <${Shown} of=${list}>${() => html`<${Table} label=${t('Teams')} rows=${teams} id=${(/** @type {any} */ team) => team.id ?? team.name} columns=${columns}
      empty=${html`<${Empty} icon="keys" title=${t('No team yet')}>${t('Keys of one team share its limits; the tighter of key and team holds.')}<//>`} />`}<//></section>
    ${editing && html`<${TeamEditor} team=${editing} onClose=${() => setEditing(null)} onSaved=${list.reload} />`}`;
}

function Budgets() {
  const list = useResource('/admin/budgets', { whole: true, everySeconds: 5 });
  const [editing, setEditing] = useState(/** @type {any} */ (null));
  const budgets = list.value?.budgets ?? [];
  const change = may('operator') && list.value !== undefined;
  /** @type {Column<Budget>[]} */
  const columns = [
    { title: t('Budget'), cell: (budget) => html`<span class="name">${budget.problem ? budget.name : holder(budget)}</span>${budget.problem && html` <${Unusable} why=${budget.problem} />`}` },
    { title: t('Amount'), number: true, wide: true, cell: (budget) => html`${money(budget.amount)} <span class="quiet">${period(budget.per)}</span>` },
    { title: t('Used'), cell: (budget) => html`<${Spent} budget=${budget} />` },
    { title: t('Held'), number: true, cell: (budget) => money(budget.reserved) },
    { title: t('Left'), number: true, cell: (budget) => money(budget.left) },
    { title: t('Begins anew'), number: true, wide: true, cell: (budget) => (budget.resets_at ? when(budget.resets_at) : html`<span class="quiet">${t('not at all')}</span>`) },
    { title: t('Source'), minor: true, cell: (budget) => html`<${Badge}>${say(budget.source)}<//>` },
    { title: t('Change'), tools: true, hidden: !change, cell: (budget) => budget.source === 'api' && html`<${Button} kind="small" icon="edit" label=${t('Edit {name}', { name: holder(budget) })} onClick=${() => setEditing(budget)} />` },
  ];
  return html`<section class="card"><header><h2>${t('Budgets')}</h2>${change && html`<${Button} kind="primary" icon="plus" onClick=${() => setEditing({})}>${t('Create budget')}<//>`}</header>
    <${Shown} of=${list}>${() => html`<${Table} label=${t('Budgets')} rows=${budgets} id=${(/** @type {any} */ budget) => budget.id} columns=${columns}
      empty=${html`<${Empty} icon="usage" title=${t('No budget yet')}>${t('A budget holds the worst case of each request, then settles at its cost. What does not fit is refused.')}<//>`} />`}<//></section>
    ${editing && html`<${BudgetEditor} budget=${editing} onClose=${() => setEditing(null)} onSaved=${list.reload} />`}`;
}

/** @param {any} budget */
function holder(budget) {
  if (budget.team) return t('Team {name}', { name: budget.team });
  return budget.key ? t('Key {name}', { name: budget.key }) : t('The whole gateway');
}

/** @param {string | null | undefined} per */
function period(per) {
  if (!per) return '';
  return t(PERIODS[per] ?? per);
}

/** @param {{budget: any}} props */
function Spent({ budget }) {
  const share = Number(budget.amount) > 0 ? Number(budget.spent) / Number(budget.amount) : 1;
  return html`<div class="bucket"><${Meter} share=${share} tone=${share >= 0.95 ? 'bad' : share >= 0.8 ? 'warn' : 'good'} label=${t('Used, {name}', { name: holder(budget) })} />
    <span class="number small">${money(budget.spent)} · ${percent(100 * share)}</span></div>`;
}
