// Says how a backend stands, with its cooldown counted down between two pictures.
import { html } from '../../lib.js';
import { arrived } from '../../state/live.js';
import { span } from '../../text/format.js';
import { say, t } from '../../text/text.js';
import { Badge, Countdown } from '../../ui/controls.js';

/** @type {Record<string, string>} */
const TONES = { healthy: 'good', cooling: 'warn', error: 'bad', disabled: '' };

/** When the cooldown ends, on `performance.now()`'s clock. @param {any} status */
export function cooldownEnds(status) {
  return status?.state === 'cooling' && status.cooldown_left_ms !== null ? arrived.value + status.cooldown_left_ms : null;
}

/** @param {{status: any, ends: number | null}} props */
export function StateBadge({ status, ends }) {
  if (!status) return html`<${Badge}>${t('Not loaded')}<//>`;
  const name = say(status.state);
  if (ends === null) return html`<${Badge} tone=${TONES[status.state]} title=${say(status.reason)}>${name}<//>`;
  return html`<${Countdown} ends=${ends}>${(/** @type {number} */ left) => html`<${Badge} tone="warn" title=${say(status.reason)}>
    ${name} <span class="number" data-testid="countdown">${left > 0 ? span(left) : t('probe due')}</span><//>`}<//>`;
}

/** @type {Record<string, string>} */
const PACES = { normal: '', retreat: 'warn', recover: 'accent' };

/** @param {{pace: any}} props */
export function PaceBadge({ pace }) {
  const word = typeof pace === 'string' ? pace : Object.keys(pace ?? {})[0];
  if (!word || word === 'normal') return html`<span class="quiet">${t('Normal')}</span>`;
  return html`<${Badge} tone=${PACES[word] ?? 'warn'}>${say(word)}<//>`;
}
