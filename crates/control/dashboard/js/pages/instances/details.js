// One local process in full: how it is, what it said last, whose it is, and what helps when it is not well.
import { html, useState } from '../../lib.js';
import { call, may } from '../../state/api.js';
import { count, span } from '../../text/format.js';
import { say, t } from '../../text/text.js';
import { Badge, Button } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { TextField } from '../../ui/fields.js';
import { Notice } from '../../ui/states.js';
import { attempt } from '../../ui/toasts.js';
import { Pairs } from '../backends/details.js';
import { Account } from './account.js';

/** @type {Record<string, string>} */
const LOGINS = { signed_in: 'good', needs_human: 'warn', failed: 'bad', running: 'accent' };
/** @type {Record<string, string>} */
const TONES = { ready: 'good', starting: 'accent', reconnecting: 'warn', failed: 'bad', stopped: '', closed: '' };

/** Whether a login that has failed is tried again. @param {string | null} word */
const again = (word) => {
  if (word === 'never') return t('It is not tried again by itself.');
  if (word === 'later') return t('It is tried again after a pause.');
  return word === 'next_request' ? t('The next request has it tried again.') : '';
};

/** @param {{one: any}} props */
export const StateBadge = ({ one }) => html`<${Badge} tone=${TONES[one.state]}>${say(one.state)}<//>`;

/** @param {{one: any}} props */
export const LoginBadge = ({ one }) => html`<${Badge} tone=${LOGINS[one.login.state] ?? ''} title=${say(one.login.reason)}>${say(one.login.state)}<//>`;

/** How long it has run. @param {any} one */
export const uptime = (one) => span(one.uptime_s === null ? null : one.uptime_s * 1000);

/** @param {{one: any, onClose: () => void, onChanged: () => void}} props */
export function InstanceDetails({ one, onClose, onChanged }) {
  const at = `/admin/instances/${encodeURIComponent(one.id)}`;
  const act = async (/** @type {string} */ verb, body = /** @type {any} */ (undefined)) => {
    const done = await attempt(() => call('POST', `${at}/${verb}`, { body }), t('Done'));
    onChanged();
    return done !== undefined;
  };
  const account = one.login.id ? `${one.login.name} (${one.login.id})` : [say(one.login.reason), again(one.login.retry)].filter(Boolean).join('. ');
  const rows = [
    [t('State'), html`<${StateBadge} one=${one} />`], [t('Login'), html`<${LoginBadge} one=${one} /> ${account}`],
    [t('In flight'), count(one.in_flight)], [t('Up for'), uptime(one)], [t('Restarts'), count(one.restarts)],
    [t('Process'), one.process ?? '–'], [t('Ports'), one.socket_port ? `${one.socket_port}, ${one.http_port}` : '–'],
    [t('Last error'), html`<span class="wrap-anywhere">${one.last_error ?? t('none')}</span>`],
  ];
  const foot = may('operator') && html`<${Button} icon="refresh" onClick=${() => act('restart')}>${t('Restart')}<//><${Button} icon="rotate" onClick=${() => act('reset')}>${t('Reset')}<//>
    ${may('admin') && one.login.state !== 'not_needed' && html`<${Button} kind="primary" icon="keys" disabled=${one.login.state === 'signed_in'} onClick=${() => act('login')}>${t('Log in')}<//>`}`;
  return html`<${Dialog} title=${one.id} about=${one.profile} kind="sheet" onClose=${onClose} foot=${foot || undefined}><div class="stack">
    ${one.login.url && html`<${PasteBack} url=${one.login.url} onPaste=${(/** @type {string} */ text) => act('login/paste', { text })} />`}
    <${Pairs} rows=${rows} />
    ${may('admin') && one.login.state !== 'not_needed' && html`<${Account} at=${`${at}/account`} onChanged=${onChanged} />`}
    <section><h3>${t('Last lines')}</h3>${one.last_lines.length ? html`<pre class="snippet" tabindex="0">${one.last_lines.join('\n')}</pre>` : html`<p class="quiet">${t('It said nothing.')}</p>`}</section></div><//>`;
}

/** @param {{url: string, onPaste: (text: string) => Promise<boolean>}} props */
function PasteBack({ url, onPaste }) {
  const [answer, setAnswer] = useState('');
  const paste = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (await onPaste(answer)) setAnswer('');
  };
  return html`<div class="stack tight"><${Notice} tone="warn"><strong>${t('It waits for a person')}</strong>
      <p>${t('Sign in on the page. It ends at an address that cannot be opened elsewhere: paste that address here.')}</p>
      <p><a href=${url} target="_blank" rel="noreferrer">${t('Open the login page')}</a></p><//>
    <form class="row" style=${{ alignItems: 'flex-end' }} onSubmit=${paste}><${TextField} wide=${true} label=${t('The address at the end')} value=${answer} onChange=${setAnswer} placeholder="http://127.0.0.1:…" /><${Button} type="submit" disabled=${!answer}>${t('Send')}<//></form></div>`;
}
