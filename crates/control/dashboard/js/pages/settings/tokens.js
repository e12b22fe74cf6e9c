// Admin tokens with their roles; a new one is shown once.
import { html, useState } from '../../lib.js';
import { call } from '../../state/api.js';
import { useResource } from '../../state/resource.js';
import { ago, when } from '../../text/format.js';
import { say, t } from '../../text/text.js';
import { Badge, Button } from '../../ui/controls.js';
import { Confirm } from '../../ui/dialog.js';
import { Editor, useForm } from '../../ui/editor.js';
import { SelectField, TextField } from '../../ui/fields.js';
import { Empty, Shown } from '../../ui/states.js';
import { Table } from '../../ui/table.js';
import { attempt } from '../../ui/toasts.js';
import { SecretOnce } from '../keys/secret.js';

/** @import {Column} from '../../ui/table.js' */
/** @import {Token} from '../../state/shapes.js' */

export function Tokens() {
  const list = useResource('/admin/tokens');
  const [making, setMaking] = useState(false);
  const [leaving, setLeaving] = useState(/** @type {any} */ (null));
  const [given, setGiven] = useState(/** @type {any} */ (null));
  const remove = async () => {
    await attempt(() => call('DELETE', `/admin/tokens/${encodeURIComponent(leaving.id)}`), t('{name} is revoked', { name: leaving.name }));
    list.reload();
  };
  /** @type {Column<Token>[]} */
  const columns = [
    { title: t('Token'), cell: (one) => html`<span class="name">${one.name}</span>` },
    { title: t('Role'), lead: true, cell: (one) => html`<${Badge} tone="accent">${say(one.role)}<//>` },
    { title: t('Last used'), number: true, cell: (one) => ago(one.last_used) },
    { title: t('Expires'), number: true, wide: true, cell: (one) => (one.expires ? when(one.expires) : t('no end')) },
    { title: t('Revoke'), tools: true, cell: (one) => html`<${Button} kind="small" icon="trash" label=${t('Revoke {name}', { name: one.name })} onClick=${() => setLeaving(one)} />` },
  ];
  return html`<section class="card"><header><div><h2>${t('Admin tokens')}</h2><p>${t('For people and programs that operate the gateway.')}</p></div>
      ${list.value && html`<${Button} icon="plus" onClick=${() => setMaking(true)}>${t('Create token')}<//>`}</header>
    <${Shown} of=${list}>${(/** @type {any} */ value) => html`<${Table} label=${t('Admin tokens')} rows=${value.tokens ?? []} id=${(/** @type {any} */ one) => one.id} columns=${columns}
      empty=${html`<${Empty} icon="keys" title=${t('No further token')}>${t('The one you used is always there.')}<//>`} />`}<//></section>
    ${making && html`<${NewToken} onClose=${() => setMaking(false)} onGiven=${(/** @type {any} */ token) => { setGiven(token); list.reload(); }} />`}
    ${leaving && html`<${Confirm} title=${t('Revoke {name}?', { name: leaving.name })} action=${t('Revoke')} onYes=${remove} onClose=${() => setLeaving(null)}>${t('Whoever uses it is refused from now on. This cannot be taken back.')}<//>`}
    ${given && html`<${SecretOnce} entry=${{ name: given.name, key: given.token }} onClose=${() => setGiven(null)} />`}`;
}

/** @param {{onClose: () => void, onGiven: (token: any) => void}} props */
function NewToken({ onClose, onGiven }) {
  const of = useForm(() => ({ name: '', role: 'viewer' }), ['name', 'role'], onClose);
  const save = () => of.send(async () => onGiven(await call('POST', '/admin/tokens', { body: { name: of.form.name.trim(), role: of.form.role } })));
  const roles = [['viewer', t('Viewer: looks at everything')], ['operator', t('Operator: runs it, no secrets')], ['admin', t('Admin: everything')]];
  return html`<${Editor} of=${of} title=${t('Create token')} kind="box small" action=${t('Create token')} onSubmit=${save} onClose=${onClose}>
    <${TextField} label=${t('Name')} ...${of.field('name')} /><${SelectField} label=${t('Role')} ...${of.field('role')} options=${roles.map(([value, text]) => ({ value, text }))} /><//>`;
}
