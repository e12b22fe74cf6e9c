// Local model processes: how each is, what it said last, and what helps when it is not well.
import { html } from '../lib.js';
import { may } from '../state/api.js';
import { useResource } from '../state/resource.js';
import { ask, query } from '../state/route.js';
import { count } from '../text/format.js';
import { t } from '../text/text.js';
import { PageHead } from '../ui/page.js';
import { Empty, Shown } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { InstanceDetails, LoginBadge, StateBadge, uptime } from './instances/details.js';
import { StoredAccounts } from './instances/stored.js';

/** @import {Column} from '../ui/table.js' */
/** @import {Instance} from '../state/shapes.js' */

export function Instances() {
  const list = useResource('/admin/instances', { everySeconds: 3 });
  const rows = list.value?.instances ?? [];
  const open = rows.find((/** @type {any} */ one) => one.id === query.value.get('open'));
  const show = (/** @type {any} */ one) => ask({ open: one.id });
  /** @type {Column<Instance>[]} */
  const columns = [
    { title: t('Instance'), cell: (one) => html`<button class="name" onClick=${() => show(one)}>${one.id}</button>` },
    { title: t('State'), lead: true, cell: (one) => html`<${StateBadge} one=${one} />` },
    { title: t('Login'), cell: (one) => html`<${LoginBadge} one=${one} />` },
    { title: t('In flight'), number: true, cell: (one) => count(one.in_flight) },
    { title: t('Up for'), number: true, cell: uptime },
    { title: t('Restarts'), number: true, cell: (one) => count(one.restarts) },
  ];
  return html`<${PageHead} title=${t('Instances')} about=${t('Model processes on this machine that the gateway starts and watches.')} />
    <section class="card"><${Shown} of=${list}>${() => html`<${Table} label=${t('Instances')} rows=${rows} id=${(/** @type {any} */ one) => one.id} columns=${columns} onOpen=${show}
      empty=${html`<${Empty} icon="instances" title=${t('No local process')}>${t('A backend of the kind `process` starts them.')}<//>`} />`}<//></section>
    ${may('admin') && html`<${StoredAccounts} />`}
    ${open && html`<${InstanceDetails} one=${open} onClose=${() => ask({ open: undefined })} onChanged=${list.reload} />`}`;
}
