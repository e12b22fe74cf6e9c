// Backups and the vault: what is kept against the day it is needed, and the key over all secrets.
import { html, useState } from '../../lib.js';
import { call, may } from '../../state/api.js';
import { useResource } from '../../state/resource.js';
import { bytes, count, when } from '../../text/format.js';
import { say, t } from '../../text/text.js';
import { Button, Meter } from '../../ui/controls.js';
import { Confirm, Dialog } from '../../ui/dialog.js';
import { TextField } from '../../ui/fields.js';
import { Empty, Notice, Shown } from '../../ui/states.js';
import { Table } from '../../ui/table.js';
import { attempt, tell } from '../../ui/toasts.js';
import { Pairs } from '../backends/details.js';

/** @import {Column} from '../../ui/table.js' */
/** @import {Backup} from '../../state/shapes.js' */

export function Backups() {
  const list = useResource('/admin/backups', { whole: true });
  const [busy, setBusy] = useState('');
  const [leaving, setLeaving] = useState('');
  const at = (/** @type {string} */ name) => `/admin/backups/${encodeURIComponent(name)}`;
  const make = async () => {
    setBusy('new');
    await attempt(() => call('POST', '/admin/backups'), t('A backup is made and proven'));
    setBusy('');
    list.reload();
  };
  const verify = async (/** @type {string} */ name) => {
    setBusy(name);
    const verdict = await attempt(() => call('POST', `${at(name)}/verify`));
    setBusy('');
    if (verdict) tell(verdict.problem ?? t('{name} is sound', { name }), verdict.problem ? 'bad' : 'good');
  };
  const remove = async () => {
    await attempt(() => call('DELETE', at(leaving)), t('{name} is deleted', { name: leaving }));
    list.reload();
  };
  /** @type {Column<Backup>[]} */
  const columns = [
    { title: t('Backup'), cell: (one) => html`<span class="name wrap-anywhere">${one.name}</span>` },
    { title: t('When'), cell: (one) => when(one.at) },
    { title: t('Size'), number: true, cell: (one) => bytes(one.bytes) },
    { title: t('Change'), tools: true, cell: (one) => html`<span class="row">${may('operator') && html`<${Button} kind="small" busy=${busy === one.name} onClick=${() => verify(one.name)}>${t('Verify')}<//>`}
      ${may('admin') && html`<${Button} kind="small" icon="trash" label=${t('Delete {name}?', { name: one.name })} onClick=${() => setLeaving(one.name)} />`}</span>` },
  ];
  return html`<section class="card"><header><div><h2>${t('Backups')}</h2><p>${t('Made daily, and proven by opening them. The command line restores one.')}</p></div>
      ${may('operator') && list.value && html`<${Button} icon="plus" busy=${busy === 'new'} onClick=${make}>${t('Back up now')}<//>`}</header>
    <${Shown} of=${list}>${(/** @type {any} */ value) => html`<${Table} label=${t('Backups')} rows=${[...value.backups].reverse()} id=${(/** @type {any} */ one) => one.name} columns=${columns}
      empty=${html`<${Empty} title=${t('No backup yet')}>${value.folder}<//>`} />`}<//></section>
    ${leaving && html`<${Confirm} title=${t('Delete {name}?', { name: leaving })} action=${t('Delete')} onYes=${remove} onClose=${() => setLeaving('')}>${t('This cannot be taken back.')}<//>`}`;
}

export function Vault() {
  const vault = useResource('/admin/vault');
  const [rotating, setRotating] = useState(false);
  const rows = (/** @type {any} */ value) => [
    [t('Master key'), html`<code>${value.key_id}</code>`], [t('Where from'), value.file ?? say(value.source)],
    [t('Secrets'), t('{n} of {all} under this key', { n: count(value.under_key), all: count(value.secrets) })],
  ];
  return html`<section class="card"><header><div><h2>${t('Vault')}</h2><p>${t('All credentials are encrypted under one master key.')}</p></div>
      ${vault.value && html`<${Button} icon="rotate" onClick=${() => setRotating(true)}>${t('Rotate the master key')}<//>`}</header>
    <div class="body"><${Shown} of=${vault} lines=${2}>${(/** @type {any} */ value) => html`<${Pairs} rows=${rows(value)} />`}<//></div></section>
    ${rotating && html`<${Rotation} source=${vault.value.source} onClose=${() => setRotating(false)} onDone=${vault.reload} />`}`;
}

/** @param {{source: string, onClose: () => void, onDone: () => void}} props */
function Rotation({ source, onClose, onDone }) {
  const [key, setKey] = useState('');
  const [busy, setBusy] = useState(false);
  const progress = useResource(busy ? '/admin/vault' : null, { everySeconds: 1 }).value?.rotation;
  const rotate = async () => {
    setBusy(true);
    const rotated = await attempt(() => call('POST', '/admin/vault/rotate', { body: key.trim() ? { new_key: key.trim() } : {} }), t('A new master key is in force'));
    setBusy(false);
    if (!rotated) return;
    onDone();
    onClose();
  };
  const foot = html`<${Button} onClick=${onClose}>${t('Cancel')}<//><${Button} kind="primary" type="submit" busy=${busy}>${t('Rotate')}<//>`;
  return html`<${Dialog} title=${t('Rotate the master key')} kind="box small" onClose=${onClose} onSubmit=${rotate} foot=${foot}><div class="stack">
    <p class="soft">${t('All secrets are put under a new key while requests go on. Nothing has to be entered again.')}</p>
    ${busy && progress && html`<div role="status"><p class="small soft">${t('{done} of {all} secrets are under the new key', { done: count(progress.done), all: count(progress.of) })}</p>
      <${Meter} tone="calm" share=${progress.done / Math.max(1, progress.of)} label=${t('Rotate the master key')} /></div>`}
    ${source === 'environment' && html`<${TextField} label=${t('The new key')} type="password" value=${key} onChange=${setKey} hint=${t('64 hex characters that you have kept already.')} autocomplete="off" />`}
    <${Notice} tone="warn">${t('Keep the new key apart from the data folder: without it the credentials are lost.')}<//></div><//>`;
}
