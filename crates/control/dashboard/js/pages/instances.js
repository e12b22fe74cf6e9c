// Local model processes: how each is, what it said last, and what helps when it is not well.
import { html, useState } from '../lib.js';
import { call, may } from '../state/api.js';
import { useResource } from '../state/resource.js';
import { count, span } from '../text/format.js';
import { say, t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { Dialog } from '../ui/dialog.js';
import { TextField } from '../ui/fields.js';
import { PageHead } from '../ui/page.js';
import { Empty, Notice, Shown } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { attempt } from '../ui/toasts.js';
import { Pairs } from './backends/details.js';

/** @type {Record<string, string>} */
const LOGINS = { signed_in: 'good', needs_human: 'warn', failed: 'bad', running: 'accent' };
/** @type {Record<string, string>} */
const TONES = { ready: 'good', starting: 'accent', reconnecting: 'warn', failed: 'bad', stopped: '', closed: '' };

export function Instances() {
  const list = useResource('/admin/instances', { everySeconds: 3 });
  const [openId, setOpenId] = useState('');
  const rows = list.value?.instances ?? [];
  const id = (/** @type {any} */ one) => one.id ?? one.name;
  const open = rows.find((/** @type {any} */ one) => id(one) === openId);
  const columns = [
    { title: t('Instance'), cell: (/** @type {any} */ one) => html`<button class="name" onClick=${() => setOpenId(id(one))}>${id(one)}</button>` },
    { title: t('State'), cell: (/** @type {any} */ one) => html`<${Badge} tone=${TONES[one.state]}>${say(one.state)}<//>` },
    { title: t('Login'), cell: (/** @type {any} */ one) => html`<${Badge} tone=${LOGINS[login(one)] ?? ''} title=${say(one.login?.reason)}>${say(login(one)) || '–'}<//>` },
    { title: t('In flight'), number: true, cell: (/** @type {any} */ one) => count(one.in_flight) },
    { title: t('Up for'), number: true, cell: (/** @type {any} */ one) => span(one.uptime_ms ?? (one.uptime_s === undefined || one.uptime_s === null ? null : one.uptime_s * 1000)) },
    { title: t('Restarts'), number: true, cell: (/** @type {any} */ one) => count(one.restarts) },
  ];
  return html`<${PageHead} title=${t('Instances')} about=${t('Model processes on this machine that the gateway starts and watches.')} />
    <section class="card"><${Shown} of=${list}>${() => html`<${Table} label=${t('Instances')} rows=${rows} id=${id} columns=${columns} onOpen=${(/** @type {any} */ one) => setOpenId(id(one))}
      empty=${html`<${Empty} icon="instances" title=${t('No local process')}>${t('A backend of the kind `process` starts them.')}<//>`} />`}<//></section>
    ${open && html`<${Instance} one=${open} id=${id(open)} onClose=${() => setOpenId('')} onChanged=${list.reload} />`}`;
}

/** @param {any} one */
const login = (one) => (typeof one.login === 'string' ? one.login : (one.login?.state ?? one.login_state ?? ''));

/** @param {{one: any, id: string, onClose: () => void, onChanged: () => void}} props */
function Instance({ one, id, onClose, onChanged }) {
  const [answer, setAnswer] = useState('');
  const act = async (/** @type {string} */ verb, body = /** @type {any} */ (undefined)) => {
    await attempt(() => call('POST', `/admin/instances/${encodeURIComponent(id)}/${verb}`, { body }), t('Done'));
    onChanged();
  };
  const lines = one.last_lines ?? one.lines ?? [];
  const address = one.login?.url ?? one.login_url;
  const rows = [[t('State'), say(one.state)], [t('Login'), say(login(one)) || '–'], [t('In flight'), count(one.in_flight)], [t('Restarts'), count(one.restarts)], [t('Last error'), one.last_error ?? one.error ?? t('none')]];
  const foot = may('operator') && html`<${Button} icon="refresh" onClick=${() => act('restart')}>${t('Restart')}<//><${Button} icon="rotate" onClick=${() => act('reset')}>${t('Reset')}<//>
    ${may('admin') && html`<${Button} kind="primary" icon="keys" onClick=${() => act('login')}>${t('Log in')}<//>`}`;
  return html`<${Dialog} title=${id} kind="sheet" onClose=${onClose} foot=${foot || undefined}><div class="stack"><${Pairs} rows=${rows} />
    ${address && html`<${Notice} tone="warn"><strong>${t('It waits for a person')}</strong><p><a href=${address} target="_blank" rel="noreferrer">${t('Open the login page')}</a></p><//>
      <form class="row" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); act('login/paste', { text: answer }); }}><${TextField} label=${t('What it showed at the end')} value=${answer} onChange=${setAnswer} /><${Button} type="submit">${t('Send')}<//></form>`}
    <section><h3>${t('Last lines')}</h3>${lines.length ? html`<pre class="snippet" tabindex="0">${lines.join('\n')}</pre>` : html`<p class="quiet">${t('It said nothing.')}</p>`}</section></div><//>`;
}
