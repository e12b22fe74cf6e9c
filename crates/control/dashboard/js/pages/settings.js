// The settings: those that act at once in forms with what is in force, the others to be read with where they come from.
import { html, useState } from '../lib.js';
import { call, may } from '../state/api.js';
import { useResource } from '../state/resource.js';
import { when } from '../text/format.js';
import { say, t } from '../text/text.js';
import { Badge, Button, Choice } from '../ui/controls.js';
import { CheckField, NumberField, SelectField, TextField, numeric, sorted } from '../ui/fields.js';
import { PageHead } from '../ui/page.js';
import { Empty, Notice, Shown } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { Tabs } from '../ui/tabs.js';
import { attempt, tell } from '../ui/toasts.js';
import { HOT } from './settings/hot.js';
import { Backups, Vault } from './settings/keeping.js';
import { Tokens } from './settings/tokens.js';

/** @import {Column} from '../ui/table.js' */
/** @import {Effective} from '../state/shapes.js' */

const CHANGEABLE = ['default', 'stored by API'];

export function Settings() {
  const tabs = [{ id: 'hot', name: t('Acts at once'), view: Hot }, ...(may('admin') ? [{ id: 'tokens', name: t('Admin tokens'), view: Tokens }] : []),
    { id: 'keeping', name: may('admin') ? t('Vault and backups') : t('Backups'), view: Keeping }, { id: 'all', name: t('Everything else'), view: Rest }];
  return html`<${PageHead} title=${t('Settings')} about=${t('What is changed here is stored, acts at once and outlives a restart. What the file or the environment says stands above it.')}>
      ${may('operator') && html`<${Reload} />`}<//><${Tabs} label=${t('Settings')} tabs=${tabs} />`;
}

function Reload() {
  const reload = () => attempt(() => call('POST', '/admin/reload'), t('Everything was read again'));
  return html`<${Button} icon="refresh" onClick=${reload}>${t('Read the file again')}<//>`;
}

function Hot() {
  const config = useResource('/admin/config', { everySeconds: 10 });
  return html`<${Shown} of=${config} lines=${12}>${(/** @type {any} */ value) => html`<${Standing} config=${value} />
    ${HOT.map((group) => html`<${Group} key=${group.title} group=${group} effective=${value.effective} onSaved=${config.reload} />`)}`}<//>`;
}

const Keeping = () => html`${may('admin') && html`<${Vault} />`}<${Backups} />`;

/** @param {{config: any}} props */
function Standing({ config }) {
  const problem = config.last_problem;
  const lists = [[t('Left out, as they do not hold'), config.left_out, 'bad'], [t('These wait for a restart'), config.restart_needed, 'warn'], [t('Good to know'), config.notices, '']];
  return html`${problem && html`<${Notice} tone="bad"><strong>${t('The last change did not hold; what was in force stays')}</strong><ul>${problem.problems.map((/** @type {string} */ line) => html`<li key=${line} class="wrap-anywhere">${line}</li>`)}</ul><p class="small">${say(problem.trigger)} · ${when(problem.at)}</p><//>`}
    ${lists.filter(([, list]) => list?.length).map(([title, list, tone]) => html`<${Notice} key=${title} tone=${tone}><strong>${title}</strong><ul>${list.map((/** @type {string} */ line) => html`<li key=${line} class="wrap-anywhere">${line}</li>`)}</ul><//>`)}
    <p class="quiet small">${t('Version {n}, in force since {when}', { n: config.version, when: when(config.published_at) })}</p>`;
}

/** @param {string} kind @param {string | undefined} text As the gateway writes it. */
function typed(kind, text) {
  if (kind === 'yes') return text === 'true';
  return text ?? '';
}

/** @param {{group: any, effective: any[], onSaved: () => void}} props */
function Group({ group, effective, onSaved }) {
  const known = new Map(effective.map((one) => [one.path, one]));
  const there = group.settings.filter((/** @type {any} */ one) => known.has(one.path));
  const present = Object.fromEntries(there.map((/** @type {any} */ one) => [one.path, typed(one.kind, known.get(one.path).value)]));
  const [form, setForm] = useState(/** @type {Record<string, any>} */ ({}));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const paths = there.map((/** @type {any} */ one) => one.path);
  const { by, others } = sorted(problem, paths);
  const changed = paths.filter((/** @type {string} */ path) => path in form && form[path] !== present[path]);
  const send = async (/** @type {any} */ body) => {
    setBusy(true);
    try {
      await call('PATCH', '/admin/config', { body });
      setForm({});
      setProblem(null);
      tell(t('{name} is saved', { name: t(group.title) }));
      onSaved();
    } catch (refused) {
      setProblem(refused);
    }
    setBusy(false);
  };
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    send(nested(changed.map((/** @type {string} */ path) => [path, written(group.settings.find((/** @type {any} */ one) => one.path === path).kind, form[path])])));
  };
  if (there.length === 0) return null;
  return html`<section class="card"><form onSubmit=${save} novalidate><header><div><h2>${t(group.title)}</h2><p>${t(group.about)}</p></div>
      ${may('operator') && html`<div class="row">${changed.length > 0 && html`<${Button} kind="plain" onClick=${() => { setForm({}); setProblem(null); }}>${t('Undo')}<//>`}
        <${Button} type="submit" kind=${changed.length ? 'primary' : ''} disabled=${changed.length === 0} busy=${busy}>${t('Save')}<//></div>`}</header>
    <div class="body stack">${others.length > 0 && html`<${Notice} tone="bad">${others.join('; ')}<//>`}
    <div class="settings">${there.map((/** @type {any} */ one) => html`<${Setting} key=${one.path} one=${one} entry=${known.get(one.path)} value=${form[one.path] ?? present[one.path]} wrong=${by[one.path]}
      onChange=${(/** @type {any} */ value) => setForm((now) => ({ ...now, [one.path]: value }))} onDefault=${() => send(nested([[one.path, null]]))} />`)}</div></div></form></section>`;
}

/** @param {{one: any, entry: any, value: any, wrong?: string, onChange: (value: any) => void, onDefault: () => void}} props */
function Setting({ one, entry, value, wrong, onChange, onDefault }) {
  const free = CHANGEABLE.includes(entry.origin) && may('operator');
  const stored = entry.origin === 'stored by API';
  const hint = CHANGEABLE.includes(entry.origin) ? undefined : t('Set by {origin}', { origin: origin(entry.origin) });
  const common = { label: t(one.label), value, onChange, wrong, disabled: !free, hint: hint ?? (one.hint && t(one.hint)) };
  const field = one.kind === 'yes' ? html`<${CheckField} ...${common} />`
    : Array.isArray(one.kind) ? html`<${SelectField} ...${common} options=${one.kind.map((/** @type {string} */ word) => ({ value: word, text: say(word) }))} />`
    : one.kind === 'number' ? html`<${NumberField} ...${common} unit=${one.unit && t(one.unit)} />`
    : html`<${TextField} ...${common} placeholder=${one.kind === 'size' ? '64MiB' : '30s'} />`;
  return html`<div class="setting">${field}${stored && free && html`<button type="button" class="link quiet small" onClick=${onDefault}>${t('Back to the default')}</button>`}</div>`;
}

/** @param {any} kind @param {any} value */
function written(kind, value) {
  if (kind === 'number') return numeric(value);
  if (kind === 'yes') return value;
  return String(value).trim() || null;
}

/** `limits.queue_max` becomes `{limits: {queue_max}}`. @param {[string, any][]} entries */
function nested(entries) {
  /** @type {any} */
  const whole = {};
  for (const [path, value] of entries) {
    const parts = path.split('.');
    const last = /** @type {string} */ (parts.pop());
    let at = whole;
    for (const part of parts) at = at[part] ??= {};
    at[last] = value;
  }
  return whole;
}

/** What else holds, and where it comes from: what somebody set, or the defaults as well. */
function Rest() {
  const [wanted, setWanted] = useState('');
  const [which, setWhich] = useState('set');
  const config = useResource('/admin/config');
  const hot = new Set(HOT.flatMap((group) => group.settings.map((one) => one.path)));
  const rows = (config.value?.effective ?? []).filter((/** @type {any} */ one) => !hot.has(one.path) && one.path.toLowerCase().includes(wanted.trim().toLowerCase()) && (which === 'all' || one.origin !== 'default'));
  /** @type {Column<Effective>[]} */
  const columns = [
    { title: t('Setting'), cell: (one) => html`<code>${one.path}</code>` },
    { title: t('Value'), cell: (one) => html`<span class="wrap-anywhere">${one.value}</span>` },
    { title: t('Where from'), cell: (one) => html`<${Badge}>${origin(one.origin)}<//>` },
  ];
  const choices = [{ value: 'set', text: t('What was set') }, { value: 'all', text: t('All') }];
  return html`<section class="card"><header><div><h2>${t('Everything else')}</h2><p>${t('Changed in the file, by the environment or on the command line. Secrets are masked.')}</p></div>
      <div class="row"><${Choice} label=${t('Which')} value=${which} options=${choices} onChange=${setWhich} />
        <div class="narrow"><${TextField} label=${t('Find a setting')} placeholder=${t('Find a setting')} value=${wanted} onChange=${setWanted} type="search" /></div></div></header>
    <${Shown} of=${config} lines=${12}>${() => html`<${Table} label=${t('Everything else')} rows=${rows} id=${(/** @type {any} */ one) => one.path} columns=${columns} empty=${html`<${Empty} icon="settings" title=${t('No setting found')} />`} />`}<//></section>`;
}

/** Where a setting comes from; the gateway names places in English. @param {string} text */
function origin(text) {
  const [, kind = '', name] = /^(environment variable|command line) (.+)$/.exec(text) ?? [];
  return name ? `${t(kind)} ${name}` : t(text);
}
