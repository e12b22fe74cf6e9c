// One request: its figures, its timeline from arrival to end with every attempt, and what it cost.
import { html, useEffect, useRef } from '../../lib.js';
import { may } from '../../state/api.js';
import { useResource } from '../../state/resource.js';
import { Link, go } from '../../state/route.js';
import { bytes, count, exactly, money, span, tokensIn } from '../../text/format.js';
import { say, t } from '../../text/text.js';
import { Badge, Button, Copy } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { Shown } from '../../ui/states.js';
import { OUTCOME_TONES } from '../requests.js';
import { Pairs } from '../backends/details.js';
import { Explanation } from './explain.js';

/** @param {{id: string, onClose: () => void}} props */
export function RequestDetails({ id, onClose }) {
  const found = useResource(`/admin/requests/${encodeURIComponent(id)}`);
  const captured = useResource(may('admin') ? `/admin/captures?limit=1&request_id=${encodeURIComponent(id)}` : null).value?.captures[0];
  const foot = html`${captured && html`<${Button} icon="captures" onClick=${() => go(`/captures?open=${captured.id}`)}>${t('Show the capture')}<//>`}<${Copy} text=${id} label=${t('Copy id')} />`;
  return html`<${Dialog} title=${t('Request')} about=${html`<code>${id}</code>`} kind="sheet" onClose=${onClose} foot=${foot}>
    <${Shown} of=${found} lines=${10}>${(/** @type {any} */ receipt) => html`<${Story} receipt=${receipt} />`}<//><//>`;
}

/** @param {{receipt: any}} props */
function Story({ receipt }) {
  const usage = receipt.usage;
  const tags = (receipt.tags ?? []).map((/** @type {string[]} */ [name, value]) => `${name}=${value}`).join(', ');
  const rows = [
    [t('Arrived'), exactly(receipt.at)],
    [t('Key'), receipt.key ? html`<${Link} to=${`/requests?key=${encodeURIComponent(receipt.key)}`}>${receipt.key}<//>` : t('none')],
    [t('Team'), receipt.team ?? t('none')],
    [t('From'), receipt.client_addr ?? '–'],
    [t('Tags'), tags || t('none')],
    [t('Model'), receipt.model_served && receipt.model_served !== receipt.model_asked ? `${receipt.model_asked} → ${receipt.model_served}` : receipt.model_asked],
    [t('Backend'), receipt.backend ? html`<${Link} to=${`/backends?open=${encodeURIComponent(receipt.backend)}`}>${receipt.backend}<//> (${receipt.pool})` : '–'],
    [t('Dialect'), receipt.dialect_out && receipt.dialect_out !== receipt.dialect_in ? `${receipt.dialect_in} → ${receipt.dialect_out}` : receipt.dialect_in],
    [t('Stream'), receipt.stream ? t('yes') : t('no')],
    [t('Status told by a keepalive'), receipt.keepalive_committed ? t('yes') : t('no')],
    [t('Bytes'), `${bytes(receipt.bytes_in)} → ${bytes(receipt.bytes_out)}`],
  ];
  const tokens = [
    [t('Input'), count(usage.input)], [t('Cached input'), count(usage.cached_input)], [t('Written to cache'), count(usage.cache_write + usage.cache_write_1h)],
    [t('Output'), count(usage.output)], [t('Of it reasoning'), count(usage.reasoning)], ...(usage.images > 0 ? [[t('Pictures'), count(usage.images)]] : []), [t('Counted by'), say(receipt.usage_source)],
    [t('Cost'), receipt.unpriced ? t('no price') : html`<span class="strong">${money(receipt.cost)}</span>`], [t('Price'), receipt.price_version ?? '–'],
  ];
  return html`<div class="stack">
    <div class="row"><${Badge} tone=${OUTCOME_TONES[receipt.outcome]}>${receipt.status} ${say(receipt.outcome)}<//>
      ${receipt.error_code && html`<${Badge} tone="bad">${receipt.error_code}<//>`}
      <span class="soft">${t('{total} in all, {n} tokens', { total: span(receipt.total_ms), n: count(tokensIn(usage) + usage.output) })}</span></div>
    <section><h3>${t('Timeline')}</h3><${Timeline} receipt=${receipt} /></section>
    <section><h3>${t('Who and what')}</h3><${Pairs} rows=${rows} /></section>
    <section><h3>${t('Tokens and cost')}</h3><${Pairs} rows=${tokens} /></section>
    <${Attempts} lines=${receipt.attempt_lines ?? []} />
    <${Why} id=${receipt.request_id} />
  </div>`;
}

/** How each cost came about, what was decided and why, and how those who could serve it stand now. @param {{id: string}} props */
function Why({ id }) {
  const told = useResource(`/admin/requests/${encodeURIComponent(id)}/explain`).value;
  if (!told) return null;
  const sums = (told.attempts ?? []).filter((/** @type {any} */ one) => one.arithmetic?.lines.length);
  return html`${sums.map((/** @type {any} */ one) => html`<section key=${one.attempt}><h3>${t('The cost of {name}', { name: one.backend })}</h3><${Arithmetic} of=${one.arithmetic} /></section>`)}
    ${(told.reasons?.looks ?? []).map((/** @type {any} */ look, /** @type {number} */ n) => html`<section key=${n}><h3>${t('Decision on attempt {n}', { n: look.attempt })}</h3><${Explanation} of=${look} /></section>`)}
    ${told.reasons?.learned.length > 0 && html`<section><h3>${t('What providers said of their limits')}</h3><${Explanation} of=${{ learned: told.reasons.learned }} /></section>`}
    ${told.candidates_now && html`<section><h3>${t('If it came now')}</h3><${Explanation} of=${told.candidates_now} /></section>`}`;
}

/** @param {{of: any}} props */
function Arithmetic({ of }) {
  const million = (/** @type {any} */ line) => (['request', 'image'].includes(line.kind) ? money(line.each) : t('{price} a million', { price: money(Number(line.each) * 1e6) }));
  return html`<ul class="plain-list">${of.lines.map((/** @type {any} */ line) => html`<li key=${line.kind} class="row apart small"><span>${say(line.kind)}</span>
      <span class="soft number">${count(line.count)} × ${million(line)} = ${money(line.cost)}</span></li>`)}
    <li class="row apart small"><span class="strong">${t('In all')}</span><span class="strong number">${money(of.sum)}</span></li></ul>
    ${of.agrees === false && html`<p class="warn small">${t('This is not what was charged: the price has changed since.')}</p>`}`;
}

/** Bars on one scale: the wait, then each attempt with its time to the first event. @param {{receipt: any}} props */
function Timeline({ receipt }) {
  const whole = Math.max(1, receipt.total_ms, ...(receipt.attempt_lines ?? []).map((/** @type {any} */ line) => line.at - receipt.at + line.total_ms));
  const rows = [];
  if (receipt.queue_ms > 0) rows.push({ name: t('Waited'), from: 0, first: null, length: receipt.queue_ms, tone: 'calm', note: span(receipt.queue_ms) });
  for (const line of receipt.attempt_lines ?? []) {
    rows.push({ name: line.backend || '–', from: Math.max(0, line.at - receipt.at), first: line.first_event_ms, length: line.total_ms, tone: line.outcome === 'succeeded' ? 'good' : line.outcome === 'failed' ? 'bad' : 'warn', note: span(line.total_ms) });
  }
  rows.push({ name: t('In all'), from: 0, first: receipt.first_event_ms, length: receipt.total_ms, tone: 'all', note: span(receipt.total_ms) });
  return html`<ol class="timeline">${rows.map((row, n) => html`<li key=${n}><span class="wrap-anywhere soft">${row.name}</span><${Bar} ...${row} whole=${whole} /><span class="number">${row.note}</span></li>`)}</ol>
    <p class="quiet small">${receipt.first_event_ms === null ? t('Nothing was sent before the end.') : t('The mark is the first token, after {time}.', { time: span(receipt.first_event_ms) })}</p>`;
}

/** @param {{from: number, first: number | null, length: number, whole: number, tone: string}} props */
function Bar({ from, first, length, whole, tone }) {
  const bar = useRef(/** @type {HTMLElement | null} */ (null));
  const mark = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (bar.current) Object.assign(bar.current.style, { left: `${(100 * from) / whole}%`, width: `${Math.max(0.6, (100 * length) / whole)}%` });
    if (mark.current && first !== null) mark.current.style.left = `${(100 * (from + first)) / whole}%`;
  });
  return html`<span class="track" aria-hidden="true"><span ref=${bar} class=${`bar ${tone}`} />${first !== null && html`<span ref=${mark} class="mark" />`}</span>`;
}

/** @param {{lines: any[]}} props */
function Attempts({ lines }) {
  if (lines.length === 0) return html`<section><h3>${t('Attempts')}</h3><p class="quiet">${t('No backend was called.')}</p></section>`;
  return html`<section><h3>${t('Attempts')}</h3><ol class="plain-list">${lines.map((line, n) => html`<li key=${n}>
    <div class="row apart"><span class="row"><span class="strong">${line.backend}</span><span class="quiet small">${line.native}</span></span>
      <${Badge} tone=${line.outcome === 'succeeded' ? 'good' : line.outcome === 'failed' ? 'bad' : 'warn'}>${line.status ?? ''} ${say(line.outcome)}<//></div>
    <p class="soft small">${[line.error_code, t('first token {time}', { time: span(line.first_event_ms) }), t('{time} in all', { time: span(line.total_ms) }), `${count(tokensIn(line.usage))} → ${count(line.usage.output)}`, line.unpriced ? t('no price') : money(line.cost)].filter(Boolean).join(' · ')}</p></li>`)}</ol></section>`;
}
