// What is happening now: the day in figures, the last minutes in charts, each pool with its backends.
import { html, useMemo } from '../lib.js';
import { useEvents } from '../state/events.js';
import { picture, points } from '../state/live.js';
import { useResource } from '../state/resource.js';
import { Link } from '../state/route.js';
import { bytes, count, money, percent, short, span, tokensIn } from '../text/format.js';
import { t } from '../text/text.js';
import { Meter } from '../ui/controls.js';
import { Chart } from '../ui/chart.js';
import { PageHead } from '../ui/page.js';
import { Empty, Loading, Notice } from '../ui/states.js';
import { EventList } from './events.js';
import { StateBadge, cooldownEnds } from './backends/state.js';

const CLASSES = [
  { id: 'urgent', name: 'Urgent', swatch: '4' },
  { id: 'high', name: 'High', swatch: '3' },
  { id: 'normal', name: 'Normal', swatch: '1' },
  { id: 'low', name: 'Low', swatch: '8' },
];

/** Up to here people watch each request being counted. */
const COUNTED_MAX = 100_000;
/** The ledger takes what there is each second. */
const LATE_MS = 10_000;

export function Overview() {
  const seen = picture.value;
  return html`<${PageHead} title=${t('Overview')} about=${t('Everything that passes through this gateway, each second.')} />
    ${seen ? html`${seen.today?.requests === 0 && html`<${First} />`}<${Figures} seen=${seen} /><${Charts} /><${Pools} seen=${seen} /><${Lower} />` : html`<div class="card"><${Loading} lines=${8} /></div>`}`;
}

/** What to do on a day on which nobody asked anything. */
const First = () => html`<${Notice}>${t('Nobody has asked anything today.')} <${Link} to="/playground">${t('Send something from the playground')}<//><//>`;

/** @param {{seen: import('../state/live.js').Picture}} props */
function Figures({ seen }) {
  const { today, live, latency, behind } = seen;
  const recent = points.value.slice(-10);
  const perSecond = recent.reduce((sum, point) => sum + point.requests, 0) / Math.max(1, recent.length);
  const share = today && today.requests ? (100 * today.failed) / today.requests : 0;
  const ttft = latency?.first_event_ms;
  return html`<dl class="stats" data-testid="figures">
    <${Figure} name=${t('Requests today')} value=${today && today.requests < COUNTED_MAX ? count(today.requests) : short(today?.requests)} below=${`${short(perSecond)} ${t('a second now')}`} id="requests" />
    <${Figure} name=${t('Errors today')} value=${today ? percent(share) : '–'} tone=${share >= 5 ? 'bad' : share >= 1 ? 'warn' : ''} below=${t('{n} failed', { n: count(today?.failed) })} />
    <${Figure} name=${t('Tokens today')} value=${today ? short(tokensIn(today.usage) + today.usage.output) : '–'} below=${today ? t('{in} in, {out} out', { in: short(tokensIn(today.usage)), out: short(today.usage.output) }) : ''} />
    <${Figure} name=${t('Cost today')} value=${money(today?.cost)} below=${today?.unpriced ? t('{n} calls without a price', { n: short(today.unpriced) }) : t('all calls priced')} />
    <${Figure} name=${t('First token, median')} value=${span(ttft?.p50)} below=${ttft ? `p99 ${span(ttft.p99)}` : t('none in 15 min')} />
    <${Figure} name=${t('In flight')} value=${count(live.in_flight)} below=${t('of {n}', { n: count(live.in_flight_max) })} />
    <${Figure} name=${t('Waiting')} value=${count(live.queued)} tone=${live.queued > live.queue.max * 0.8 ? 'warn' : ''} below=${t('room for {n}', { n: count(live.queue.max) })} />
    <${Figure} name=${t('Ledger behind by')} ...${ledger(behind)} />
  </dl>`;
}

/** Some lines are always on their way; the ledger is late when it took none for a while. @param {import('../state/live.js').Picture['behind']} behind */
function ledger(behind) {
  if (!behind) return { value: '–', below: '' };
  const value = short(behind.entries);
  const size = bytes(behind.bytes);
  if (behind.trouble) return { value, tone: 'bad', below: t('lines, {size}, safe in the journal', { size }) };
  const late = behind.entries > 0 && behind.since_ms > LATE_MS;
  return { value, tone: late ? 'warn' : '', below: late ? t('lines, {size}, for {time}', { size, time: span(behind.since_ms) }) : t('lines: up to date') };
}

/** @param {{name: string, value: string, below?: string, tone?: string, id?: string}} props */
function Figure({ name, value, below, tone = '', id }) {
  const [, digits = value, unit = ''] = /^([^a-z]*\d)\s+([a-z]+)$/.exec(value) ?? [];
  return html`<div class="stat"><dt>${name}</dt><dd class=${tone} data-testid=${id}>${digits}${unit && html`<small>${unit}</small>`}</dd>
    ${below && html`<dd class="below">${below}</dd>`}</div>`;
}

function Charts() {
  const list = points.value;
  const queued = picture.value?.live.queue.by_class;
  const xs = useMemo(() => list.map((point) => point.at), [list]);
  const of = (/** @type {(point: import('../state/live.js').Point) => number | null} */ pick) => list.map(pick);
  const total = picture.value?.live.queued ?? 0;
  const longest = Math.max(1, ...CLASSES.map((one) => queued?.[one.id] ?? 0));
  const none = t('The chart begins now. Send a request and watch it appear.');
  return html`<div class="grid">
    <div class="half"><${Chart} title=${t('Throughput')} about=${t('Requests that ended, by second')} unit=${t('requests/s')} xs=${xs} grain="second" kind="area" format=${short} empty=${none}
      series=${[{ name: t('Requests'), swatch: '1', values: of((point) => point.requests) }, { name: t('Failed'), swatch: 'bad', values: of((point) => point.failed) }]} /></div>
    <div class="half"><${Chart} title=${t('Tokens')} about=${t('Of requests that ended, by second')} unit=${t('tokens/s')} xs=${xs} grain="second" kind="area" format=${short} empty=${none}
      series=${[{ name: t('In'), swatch: '5', values: of((point) => point.tokens_in) }, { name: t('Out'), swatch: '2', values: of((point) => point.tokens_out) }]} /></div>
    <div class="half"><${Chart} title=${t('In flight')} about=${t('Requests let in and not yet ended')} unit=${t('requests')} xs=${xs} grain="second" kind="area" format=${short} empty=${none}
      series=${[{ name: t('In flight'), swatch: '6', values: of((point) => point.in_flight) }]} /></div>
    <div class="half"><${Chart} title=${html`<span data-testid="queue-title">${t('Queue: {n} waiting', { n: count(total) })}</span>`} about=${t('Requests that wait, by class')} unit=${t('requests')} xs=${xs} grain="second" kind="stack" height=${94} format=${short} empty=${none}
      series=${CLASSES.map((one, n) => ({ name: t(one.name), swatch: one.swatch, values: of((point) => point.queued?.[n] ?? null) }))} />
      <div class="card queue-bars"><div class="body bars">${CLASSES.map((one) => html`<div key=${one.id}><span class="soft">${t(one.name)}</span>
        <span class=${`swatch-${one.swatch} swatched`}><${Meter} share=${(queued?.[one.id] ?? 0) / longest} label=${t('Waiting, {class}', { class: t(one.name) })} /></span><span class="value">${count(queued?.[one.id])}</span></div>`)}</div></div></div>
  </div>`;
}

/** @param {{seen: import('../state/live.js').Picture}} props */
function Pools({ seen }) {
  /** @type {Map<string, any[]>} */
  const pools = new Map();
  for (const backend of seen.live.backends) pools.set(backend.pool, [...(pools.get(backend.pool) ?? []), backend]);
  if (pools.size === 0) {
    return html`<div class="card"><${Empty} icon="backends" title=${t('No backend yet')}>${t('A backend is an account, server or process that serves models.')} <${Link} to="/backends">${t('Add one')}<//><//></div>`;
  }
  const order = ['primary', 'fallback'];
  const rank = (/** @type {string} */ name) => (order.indexOf(name) + 1 || 9);
  return html`${[...pools].sort(([one], [other]) => rank(one) - rank(other) || one.localeCompare(other)).map(([name, backends]) => html`<${Pool} key=${name} name=${name} backends=${backends} />`)}`;
}

/** @param {{name: string, backends: any[]}} props */
function Pool({ name, backends }) {
  const of = (/** @type {string} */ state) => backends.filter((one) => one.state === state).length;
  const tones = /** @type {const} */ ([['healthy', 'good'], ['cooling', 'warn'], ['error', 'bad'], ['disabled', '']]);
  return html`<section class="card"><header><h2>${t('Pool {name}', { name })}</h2><div class="row">
      ${tones.filter(([state]) => of(state) > 0).map(([state, tone]) => html`<span key=${state} class="row small soft"><span class=${`dot ${tone}`} />${t(`{n} ${state}`, { n: of(state) })}</span>`)}</div></header>
    <ul class="backend-tiles">${backends.map((backend) => html`<${Tile} key=${backend.name} backend=${backend} />`)}</ul></section>`;
}

/** @param {{backend: any}} props */
function Tile({ backend }) {
  const { bucket_level: level, bucket_capacity: capacity, rpm, rpm_base: base, in_flight: running, concurrency } = backend;
  return html`<li class="tile"><div class="row apart"><${Link} to=${`/backends?open=${encodeURIComponent(backend.name)}`} class="strong wrap-anywhere">${backend.name}<//><${StateBadge} status=${backend} ends=${cooldownEnds(backend)} /></div>
    <dl class="tile-lines">
      <div><dt>${t('In flight')}</dt><dd>${count(running)}${concurrency === null ? '' : ` / ${count(concurrency)}`}</dd>
        <dd class="bar"><${Meter} share=${concurrency ? running / concurrency : 0} label=${t('In flight, {name}', { name: backend.name })} /></dd></div>
      <div><dt>${t('Bucket')}</dt><dd>${level === null ? t('no limit') : `${count(level)} / ${count(capacity)}`}</dd>
        <dd class="bar"><${Meter} tone=${level === 0 ? 'bad' : level < capacity * 0.2 ? 'warn' : 'good'} share=${level === null ? 0 : level / Math.max(1, capacity)} label=${t('Bucket, {name}', { name: backend.name })} /></dd></div>
      <div><dt>${t('Rate')}</dt><dd>${rpm === null ? t('no limit') : rpm < base ? t('{n} of {base}/min', { n: count(rpm), base: count(base) }) : t('{n}/min', { n: count(rpm) })}</dd>
        <dd class="bar"><${Meter} tone=${rpm !== null && rpm < base ? 'warn' : 'calm'} share=${rpm === null ? 0 : rpm / Math.max(1, base)} label=${t('Effective against base rate, {name}', { name: backend.name })} /></dd></div>
    </dl></li>`;
}

const HOUR_MS = 3_600_000;
const HOURS = 48;

/** What each of the last hours cost, also those in which nothing was asked. @param {any[]} rows @returns {[number, number][]} */
function byHour(rows) {
  if (rows.length === 0) return [];
  const costs = new Map(rows.map((row) => [row.bucket, Number(row.sums.cost)]));
  const now = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  return Array.from({ length: HOURS }, (_, n) => now - (HOURS - 1 - n) * HOUR_MS).map((at) => [at, costs.get(at) ?? 0]);
}

function Lower() {
  const { events } = useEvents(7);
  const hours = useResource('/admin/stats/hourly', { everySeconds: 30 });
  const bars = useMemo(() => byHour(hours.value?.rows ?? []), [hours.value]);
  return html`<div class="grid"><div class="two-thirds"><${Chart} title=${t('Cost by hour')} about=${t('The last two days')} unit=${t('US dollars')} grain="hour" kind="bars" divisible=${true} format=${money}
      xs=${bars.map(([at]) => at)} series=${[{ name: t('Cost'), swatch: '1', values: bars.map(([, cost]) => cost) }]} empty=${t('Nothing was used in the last two days.')} /></div>
    <section class="card third"><header><h2>${t('Recent events')}</h2><${Link} to="/events" class="small">${t('All')}<//></header>
      <${EventList} events=${events.slice(0, 7)} /></section></div>`;
}
