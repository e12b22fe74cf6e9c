// What the gateway thought worth telling: cooldowns, retreats, breakers, budgets; those that rest now come first.
import { html, useState } from '../lib.js';
import { useEvents } from '../state/events.js';
import { picture } from '../state/live.js';
import { count, exactly, since } from '../text/format.js';
import { exact, told } from '../text/events.js';
import { say, t } from '../text/text.js';
import { Badge, Button, Choice } from '../ui/controls.js';
import { PageHead } from '../ui/page.js';
import { Empty, Loading } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { StateBadge, cooldownEnds } from './backends/state.js';

/** @import {Column} from '../ui/table.js' */

/** @type {Record<string, string>} */
const TONES = {
  cooldown_started: 'warn', cooldown_ended: 'good', retreat_started: 'warn', retreat_ending: 'accent', retreat_ended: 'good',
  alert: 'bad', breaker_opened: 'bad', breaker_closed: 'good', error_set: 'bad', error_cleared: 'good', reset: 'accent',
  usage_contradicted: 'warn', budget_crossed: 'warn', refused: 'bad', passthrough: 'warn', emergency: 'warn', retry_denied: 'warn', database_damaged: 'bad',
};

/** How long ago, by the gateway's own clock. @param {{at: number}} props */
function Age({ at }) {
  return html`<span class="quiet" title=${exactly(at)}>${since(Math.max(0, (picture.value?.at ?? at) - at))}</span>`;
}

/** @param {{event: import('../state/events.js').Event}} props */
function Words({ event }) {
  return html`<span title=${exact(event)}>${told(event)}</span>${event.times > 1 && html` <span class="quiet">×${count(event.times)}</span>`}`;
}

/** @param {{events: import('../state/events.js').Event[]}} props */
export function EventList({ events }) {
  if (events.length === 0) return html`<${Empty} icon="check" title=${t('Nothing happened')}>${t('Cooldowns, retreats and alerts appear here.')}<//>`;
  return html`<ul class="event-list">${events.map((event) => html`<li key=${event.first}>
    <div class="row apart"><${Badge} tone=${TONES[event.kind]}>${say(event.kind)}<//><span class="small"><${Age} at=${event.at} /></span></div>
    <p class="soft small wrap-anywhere">${event.backend && html`<span class="strong">${event.backend}</span> · `}<${Words} event=${event} /></p></li>`)}</ul>`;
}

export function Events() {
  const [kind, setKind] = useState('all');
  const seen = picture.value;
  const live = seen?.live;
  const { events: all, older } = useEvents(200);
  const events = all.filter((event) => kind === 'all' || group(event.kind) === kind);
  const resting = (live?.backends ?? []).filter((/** @type {any} */ backend) => backend.state !== 'healthy');
  const choices = [['all', t('All')], ['cooldown', t('Cooldowns')], ['retreat', t('Retreats')], ['breaker', t('Breakers')], ['other', t('Other')]];
  return html`<${PageHead} title=${t('Cooldowns & events')} about=${t('Backends that rest now, and what the gateway noticed.')} />
    <section class="card"><header><h2>${t('Resting now')}</h2></header>
      ${live ? html`<${Table} label=${t('Backends that cannot be used now')} rows=${resting} id=${(/** @type {any} */ one) => one.name} columns=${restingColumns()}
        empty=${html`<${Empty} icon="check" title=${t('All backends can be used')} />`} />` : html`<${Loading} />`}</section>
    <section class="card"><header><h2>${t('Events')}</h2><${Choice} label=${t('Kind')} value=${kind} onChange=${setKind} options=${choices.map(([value, text]) => ({ value, text }))} /></header>
      ${live ? html`<${Table} label=${t('Events')} rows=${events} id=${(/** @type {any} */ event) => String(event.first)} columns=${eventColumns()} empty=${html`<${Empty} icon="events" title=${t('Nothing happened')}>${t('Cooldowns, retreats and alerts appear here.')}<//>`} />` : html`<${Loading} />`}
      ${older && html`<div class="row more"><${Button} onClick=${older}>${t('Older')}<//></div>`}</section>`;
}

/** @param {string} kind */
function group(kind) {
  return ['cooldown', 'retreat', 'breaker'].find((word) => kind.startsWith(word)) ?? 'other';
}

/** @returns {Column[]} */
function restingColumns() {
  return [
    { title: t('Backend'), cell: (one) => html`<span class="name">${one.name}</span>` },
    { title: t('State'), lead: true, cell: (one) => html`<${StateBadge} status=${one} ends=${cooldownEnds(one)} />` },
    { title: t('Reason'), short: true, cell: (one) => say(one.reason) || '–' },
    { title: t('429s in a row'), number: true, cell: (one) => count(one.consecutive_rate_limited) },
    { title: t('Last error'), prose: true, cell: (one) => one.last_error && html`<span class="wrap-anywhere">${one.last_error}</span>` },
  ];
}

/** @returns {Column[]} */
function eventColumns() {
  return [
    { title: t('Kind'), cell: (event) => html`<${Badge} tone=${TONES[event.kind]}>${say(event.kind)}<//>` },
    { title: t('Backend'), short: true, cell: (event) => event.backend },
    { title: t('What'), prose: true, cell: (event) => html`<span class="wrap-anywhere"><${Words} event=${event} /></span>` },
    { title: t('When'), number: true, lead: true, cell: (event) => html`<${Age} at=${event.at} />` },
  ];
}
