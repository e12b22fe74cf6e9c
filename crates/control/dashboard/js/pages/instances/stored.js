// Accounts that are stored and serve no local process: each says why, and can be removed.
import { html, useState } from '../../lib.js';
import { call } from '../../state/api.js';
import { useResource } from '../../state/resource.js';
import { heard } from '../../text/problems.js';
import { say, t } from '../../text/text.js';
import { Button } from '../../ui/controls.js';
import { Confirm } from '../../ui/dialog.js';
import { Table } from '../../ui/table.js';
import { attempt, tell } from '../../ui/toasts.js';

/** @import {Column} from '../../ui/table.js' */
/** @import {StoredAccount} from '../../state/shapes.js' */

const AT = '/admin/instance-accounts';

export function StoredAccounts() {
  const list = useResource(AT);
  const [leaving, setLeaving] = useState(/** @type {any} */ (null));
  const rows = (list.value?.accounts ?? []).filter((/** @type {any} */ one) => !one.instance);
  if (rows.length === 0) return null;
  const remove = async () => {
    const done = await attempt(() => call('DELETE', `${AT}/${encodeURIComponent(leaving.place)}`).then(() => true));
    if (done) tell(t('The account is removed'));
    list.reload();
  };
  /** @type {Column<StoredAccount>[]} */
  const columns = [
    { title: t('Place'), cell: (one) => html`<code>${one.place}</code>` },
    { title: t('Signs in with'), cell: (one) => say(one.signs_in_with) || '–' },
    { title: t('Why it serves nobody'), cell: (one) => html`<span class="wrap-anywhere">${heard(one.problem ?? '')}</span>` },
    { title: t('Remove'), tools: true, cell: (one) => html`<${Button} kind="small" icon="trash" label=${t('Remove {name}', { name: one.place })} onClick=${() => setLeaving(one)} />` },
  ];
  return html`<section class="card"><header><h2>${t('Accounts that serve no instance')}</h2></header>
    <${Table} label=${t('Accounts that serve no instance')} rows=${rows} id=${(/** @type {any} */ one) => one.place} columns=${columns} /></section>
    ${leaving && html`<${Confirm} title=${t('Remove account')} action=${t('Remove')} onYes=${remove} onClose=${() => setLeaving(null)}>${t('The account of {place} is forgotten.', { place: leaving.place })}<//>`}`;
}
