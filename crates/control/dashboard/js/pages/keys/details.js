// One key: what it may do, and rotating, disabling and revoking it.
import { html, useState } from '../../lib.js';
import { call, may } from '../../state/api.js';
import { Link } from '../../state/route.js';
import { ago, count, exactly, when } from '../../text/format.js';
import { say, t } from '../../text/text.js';
import { Badge, Button } from '../../ui/controls.js';
import { Confirm, Dialog } from '../../ui/dialog.js';
import { SelectField } from '../../ui/fields.js';
import { Notice } from '../../ui/states.js';
import { attempt, tell } from '../../ui/toasts.js';
import { Pairs } from '../backends/details.js';
import { KeyState } from '../keys.js';

/** @param {{entry: any, onClose: () => void, onChanged: () => void, onGiven: (key: any) => void, onEdit: () => void}} props */
export function KeyDetails({ entry, onClose, onChanged, onGiven, onEdit }) {
  const [asking, setAsking] = useState('');
  const own = entry.source === 'api';
  const at = `/admin/keys/${encodeURIComponent(entry.id)}`;
  const toggle = async () => {
    await attempt(() => call('POST', `${at}/${entry.enabled ? 'disable' : 'enable'}`), entry.enabled ? t('{name} is disabled', { name: entry.name }) : t('{name} is enabled', { name: entry.name }));
    onChanged();
  };
  const revoke = async () => {
    const done = await attempt(() => call('DELETE', at, { revision: entry.revision }).then(() => true));
    if (!done) return;
    tell(t('{name} is revoked', { name: entry.name }));
    onChanged();
    onClose();
  };
  const foot = own && html`${may('admin') && html`<${Button} kind="danger plain first" icon="trash" onClick=${() => setAsking('revoke')}>${t('Revoke')}<//>`}
    ${may('operator') && html`<${Button} onClick=${toggle}>${entry.enabled ? t('Disable') : t('Enable')}<//>`}
    ${may('admin') && html`<${Button} icon="rotate" onClick=${() => setAsking('rotate')}>${t('Rotate')}<//><${Button} kind="primary" icon="edit" onClick=${onEdit}>${t('Edit')}<//>`}`;
  const aliases = Object.entries(entry.aliases ?? {}).map(([name, targets]) => `${name} → ${[targets].flat().join(', ')}`);
  const limit = (/** @type {any} */ value) => (value === null || value === undefined ? t('no limit') : count(value));
  const rows = [
    [t('Secret'), html`<code>${entry.key}</code>`], [t('Team'), entry.team ?? t('none')],
    [t('Requests a minute'), limit(entry.rpm)], [t('Tokens a minute'), limit(entry.tpm)], [t('At once'), limit(entry.concurrency)],
    [t('Models'), (entry.models ?? []).join(', ') || t('all')], [t('Best class'), say(entry.priority_max)], [t('Share'), count(entry.weight)],
    [t('Addresses'), (entry.ip_allow ?? []).join(', ') || t('any')], [t('Default model'), entry.default_model ?? t('none')], [t('Aliases'), aliases.join('; ') || t('none')],
    [t('Endpoints'), (entry.endpoints ?? []).join(', ') || t('all')], [t('Tags'), Object.entries(entry.metadata ?? {}).map((pair) => pair.join('=')).join(', ') || t('none')],
    [t('Note'), entry.note ?? t('none')], [t('Strict'), entry.strict ? t('yes') : t('no')], [t('Expires'), entry.expires ? exactly(entry.expires) : t('no end')],
    [t('Created'), entry.created ? exactly(entry.created) : '–'], [t('Last used'), own ? ago(entry.last_used) : '–'],
  ];
  return html`<${Dialog} title=${entry.name} kind="sheet" onClose=${onClose} foot=${foot || undefined}><div class="stack">
    <div class="row"><${KeyState} entry=${entry} /><${Badge}>${say(entry.source)}<//>
      <${Link} to=${`/requests?key=${encodeURIComponent(entry.name)}`} class="beside">${t('Its requests')}<//></div>
    ${!own && html`<${Notice}>${t('Source: {source}. It is changed there, and a reload takes it over.', { source: say(entry.source) })}<//>`}
    ${entry.problem && html`<${Notice} tone="bad">${entry.problem}<//>`}
    ${entry.former_valid_until && html`<${Notice}>${t('The former secret is still taken until {when}.', { when: when(entry.former_valid_until) })}<//>`}
    <${Pairs} rows=${rows} /></div>
    ${asking === 'revoke' && html`<${Confirm} title=${t('Revoke {name}?', { name: entry.name })} action=${t('Revoke')} onYes=${revoke} onClose=${() => setAsking('')}>${t('Whoever uses it is refused from now on. This cannot be taken back.')}<//>`}
    ${asking === 'rotate' && html`<${Rotate} entry=${entry} at=${at} onClose=${() => setAsking('')} onGiven=${onGiven} />`}<//>`;
}

/** @param {{entry: any, at: string, onClose: () => void, onGiven: (key: any) => void}} props */
function Rotate({ entry, at, onClose, onGiven }) {
  const [grace, setGrace] = useState('1h');
  const [busy, setBusy] = useState(false);
  const rotate = async () => {
    setBusy(true);
    const body = grace === '0' ? {} : { grace };
    const given = await attempt(() => call('POST', `${at}/rotate`, { body, revision: entry.revision }));
    setBusy(false);
    if (!given) return;
    onClose();
    onGiven(given);
  };
  const graces = [['0', t('Not at all')], ['10m', t('10 minutes')], ['1h', t('1 hour')], ['24h', t('1 day')], ['168h', t('1 week')]];
  const foot = html`<${Button} onClick=${onClose}>${t('Cancel')}<//><${Button} kind="primary" type="submit" busy=${busy}>${t('Rotate')}<//>`;
  return html`<${Dialog} title=${t('Rotate {name}', { name: entry.name })} kind="box small" onClose=${onClose} onSubmit=${rotate} foot=${foot}>
    <div class="stack"><p class="soft">${t('It gets a new secret. For a while both are taken, so that clients can change over without a failure.')}</p>
    <${SelectField} label=${t('Take the former one for')} value=${grace} onChange=${setGrace} options=${graces.map(([value, text]) => ({ value, text }))} /></div><//>`;
}
