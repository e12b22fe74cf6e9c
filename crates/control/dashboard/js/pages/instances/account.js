// Whose a local process is: shown with its secrets masked, given, changed and taken away; a masked value is never sent.
import { html, useState } from '../../lib.js';
import { call } from '../../state/api.js';
import { useResource } from '../../state/resource.js';
import { say, t } from '../../text/text.js';
import { Button } from '../../ui/controls.js';
import { Confirm } from '../../ui/dialog.js';
import { Editor, useForm } from '../../ui/editor.js';
import { SelectField, TextField } from '../../ui/fields.js';
import { Notice, Shown } from '../../ui/states.js';
import { attempt, tell } from '../../ui/toasts.js';
import { Pairs } from '../backends/details.js';

/** What an account of each kind is made of. @type {Record<string, string[]>} */
const PARTS = { password: ['username', 'password'], token: ['token', 'organization'], key: ['access_key', 'secret_key', 'organization'] };
const SECRETS = ['password', 'token', 'access_key', 'secret_key'];

/** @param {{at: string, onChanged: () => void}} props */
export function Account({ at, onChanged }) {
  const own = useResource(at);
  const [editing, setEditing] = useState(false);
  const [leaving, setLeaving] = useState(false);
  const changed = () => {
    own.reload();
    onChanged();
  };
  const remove = async () => {
    const done = await attempt(() => call('DELETE', at).then(() => true));
    if (done) tell(t('The account is removed'));
    changed();
  };
  return html`<section><h3>${t('Account')}</h3><${Shown} of=${own} lines=${1}>${(/** @type {any} */ account) => html`<div class="stack tight">
    ${account.problem && html`<${Notice} tone="bad">${account.problem}<//>`}
    ${account.source ? html`<${Pairs} rows=${rows(account)} />` : html`<p class="quiet">${t('None. Whoever signs in by hand is kept by the process itself.')}</p>`}
    ${[null, 'api'].includes(account.source)
      ? html`<div class="row"><${Button} icon="edit" onClick=${() => setEditing(true)}>${account.source ? t('Change account') : t('Give an account')}<//>
        ${account.source && html`<${Button} kind="danger plain" icon="trash" onClick=${() => setLeaving(true)}>${t('Remove account')}<//>`}</div>`
      : html`<${Notice}>${t('Source: {source}. It is changed there, and waits for a restart.', { source: say(account.source) })}<//>`}
    ${editing && html`<${AccountEditor} at=${at} account=${account} onClose=${() => setEditing(false)} onSaved=${changed} />`}
    ${leaving && html`<${Confirm} title=${t('Remove account')} action=${t('Remove')} onYes=${remove} onClose=${() => setLeaving(false)}>${t('It is forgotten here, and the process is signed out.')}<//>`}</div>`}<//></section>`;
}

/** @param {any} account */
function rows(account) {
  const parts = (PARTS[account.signs_in_with] ?? []).filter((part) => account[part]);
  return [[t('Source'), say(account.source)], ...parts.map((part) => [say(part), SECRETS.includes(part) ? html`<code>${account[part]}</code>` : account[part]])];
}

/** @param {{at: string, account: any, onClose: () => void, onSaved: () => void}} props */
function AccountEditor({ at, account, onClose, onSaved }) {
  const before = account.signs_in_with ?? 'password';
  const [kind, setKind] = useState(before);
  const of = useForm(() => ({ username: account.username ?? '', organization: account.organization ?? '' }), PARTS[kind] ?? [], () => {
    onSaved();
    onClose();
  });
  // A part that was not typed again stays as it is stored; another kind of account begins anew.
  const keeps = Boolean(account.source) && !account.problem && kind === before;
  const save = () => {
    const parts = (PARTS[kind] ?? []).map((part) => [part, of.form[part] || (SECRETS.includes(part) ? undefined : null)]);
    const body = Object.fromEntries(parts.filter(([, value]) => value !== undefined && (keeps || value !== null)));
    of.send(() => call(keeps ? 'PATCH' : 'PUT', at, { body }), t('The account is saved'));
  };
  const kinds = [['password', t('Username and password')], ['token', t('Personal token')], ['key', t('Access key')]].map(([value, text]) => ({ value, text }));
  const field = (/** @type {string} */ part) => {
    const secret = SECRETS.includes(part);
    return html`<${TextField} key=${part} label=${say(part)} type=${secret ? 'password' : 'text'} autocomplete=${secret ? 'new-password' : 'off'} ...${of.field(part)}
      placeholder=${keeps && secret ? (account[part] ?? '') : ''} />`;
  };
  return html`<${Editor} of=${of} title=${account.source ? t('Change account') : t('Give an account')} about=${t('It is kept in the vault and never shown. Whoever had the process before is signed out.')} kind="box" onSubmit=${save} onClose=${onClose}>
    <${SelectField} label=${t('Signs in with')} value=${kind} onChange=${setKind} options=${kinds} />
    ${(PARTS[kind] ?? []).map(field)}<//>`;
}
