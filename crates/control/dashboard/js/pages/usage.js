// What was used and what it cost: by hour or day, split by backend, model, key, team or a tag; as chart, table and CSV.
import { html, useMemo, useState } from '../lib.js';
import { callAll } from '../state/api.js';
import { useResource } from '../state/resource.js';
import { Link, ask, query } from '../state/route.js';
import { count, money, percent, short, span, tokensIn } from '../text/format.js';
import { t } from '../text/text.js';
import { Button, Choice } from '../ui/controls.js';
import { SelectField, TextField } from '../ui/fields.js';
import { Chart } from '../ui/chart.js';
import { PageHead } from '../ui/page.js';
import { Empty, Shown } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { attempt } from '../ui/toasts.js';
import { save, usageCsv } from './usage/csv.js';

/** @import {Column} from '../ui/table.js' */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const SERIES_MAX = 7;

/** @type {Record<string, {grain: 'hour' | 'day', span: number}>} */
const RANGES = { '24h': { grain: 'hour', span: 24 * HOUR }, '7d': { grain: 'hour', span: 7 * DAY }, '30d': { grain: 'day', span: 30 * DAY }, '90d': { grain: 'day', span: 90 * DAY } };

/** @type {Record<string, {name: string, title?: string, unit: string, of: (sums: any) => number, format: (value: number) => string}>} */
const MEASURES = {
  cost: { name: 'Cost', unit: 'US dollars', of: (sums) => Number(sums.cost), format: money },
  tokens: { name: 'Tokens', unit: 'tokens', of: (sums) => tokensIn(sums.usage) + sums.usage.output, format: short },
  requests: { name: 'Requests', unit: 'requests', of: (sums) => sums.requests, format: short },
  failed: { name: 'Failed', title: 'Failed requests', unit: 'requests', of: (sums) => sums.failed, format: short },
};

/** What a request to the API asks for. @param {string} range @param {string} grain @param {string} by */
function address(range, grain, by) {
  const unit = grain === 'day' ? DAY : HOUR;
  const end = Date.now();
  const from = Math.floor((end - /** @type {any} */ (RANGES[range]).span) / unit) * unit + unit;
  const all = `/admin/stats/${grain === 'day' ? 'daily' : 'hourly'}?limit=10000&from=${from}${by ? `&by=${encodeURIComponent(by)}` : ''}`;
  return { from, unit, all, series: by ? `${all}&top=${SERIES_MAX}` : all };
}

export function Usage() {
  const range = query.value.get('range') ?? '24h';
  const known = RANGES[range] ? range : '24h';
  const grain = query.value.get('grain') === 'day' ? 'day' : query.value.get('grain') === 'hour' ? 'hour' : /** @type {any} */ (RANGES[known]).grain;
  const by = query.value.get('by') ?? 'model';
  const [measure, setMeasure] = useState('tokens');
  const [tag, setTag] = useState(by.startsWith('tag:') ? by.slice(4) : '');
  const asked = useMemo(() => address(known, grain, by === 'none' ? '' : by), [known, grain, by]);
  const series = useResource(by === 'tag:' ? null : asked.series, { whole: true, everySeconds: 60 });
  const rows = series.value?.rows ?? [];
  const groups = useMemo(() => series.value?.groups ?? summed(rows), [series.value]);
  const download = async () => {
    const whole = await attempt(() => callAll(asked.all));
    if (whole) save(usageCsv(whole.rows), `usage-${by.replace(/\W/g, '-')}-${known}.csv`);
  };
  const setBy = (/** @type {string} */ value) => ask({ by: value === 'tag' ? `tag:${tag}` : value });
  const ranges = Object.keys(RANGES).map((value) => ({ value, text: t(value) }));
  const split = [['none', t('Nothing')], ['backend', t('Backend')], ['model', t('Model')], ['key', t('Key')], ['team', t('Team')], ['tag', t('Tag')]];
  return html`<${PageHead} title=${t('Usage')} about=${t('From the ledger: every attempt that may have cost something is in it.')}>
      <${Button} icon="download" disabled=${rows.length === 0} onClick=${download}>${t('Export CSV')}<//><//>
    <div class="toolbar">
      <${Choice} label=${t('Range')} value=${known} options=${ranges} onChange=${(/** @type {string} */ value) => ask({ range: value, grain: undefined })} />
      <${Choice} label=${t('Grain')} value=${grain} options=${[{ value: 'hour', text: t('By hour') }, { value: 'day', text: t('By day') }]} onChange=${(/** @type {string} */ value) => ask({ grain: value })} />
      <${SelectField} label=${t('Split by')} value=${by.startsWith('tag:') ? 'tag' : by} onChange=${setBy} options=${split.map(([value, text]) => ({ value, text }))} />
      ${by.startsWith('tag:') && html`<${TextField} label=${t('Tag name')} value=${tag} placeholder="app" onChange=${(/** @type {string} */ value) => { setTag(value); ask({ by: `tag:${value}` }); }} />`}
    </div>
    <${Totals} groups=${groups} />
    <${UsageChart} rows=${rows} groups=${groups} asked=${asked} grain=${grain} measure=${measure} onMeasure=${setMeasure} />
    <${Groups} series=${series} by=${by} groups=${groups} />`;
}

/** @param {{series: import('../state/resource.js').Resource<any>, by: string, groups: any[]}} props */
function Groups({ series, by, groups }) {
  // The chart above says already that there is nothing.
  if (series.value && groups.length === 0) return null;
  return html`<section class="card"><header><h2>${t('In the whole range')}</h2></header>${by === 'tag:' ? html`<${Empty} icon="usage" title=${t('Which tag?')}>${t('Name the tag to split by.')}<//>`
    : html`<${Shown} of=${series}>${() => html`<${Table} label=${t('Usage')} rows=${groups} id=${(/** @type {any} */ row) => row.group} columns=${groupColumns(by, groups)} />`}<//>`}</section>`;
}

/** Sums of sums. @param {any} into @param {any} more */
function add(into, more) {
  for (const [field, value] of Object.entries(more)) {
    if (field === 'cost') into.cost = String(Number(into.cost ?? 0) + Number(value));
    else if (typeof value === 'object' && value !== null) into[field] = add(into[field] ?? {}, value);
    else into[field] = (into[field] ?? 0) + value;
  }
  return into;
}

/** One row for each group over all time, the dearest first. @param {any[]} rows */
function summed(rows) {
  /** @type {Map<string, any>} */
  const groups = new Map();
  for (const row of rows) groups.set(row.group ?? '', add(groups.get(row.group ?? '') ?? {}, row.sums));
  const list = [...groups].map(([group, sums]) => ({ group, sums }));
  const weight = (/** @type {any} */ sums) => Number(sums.cost) * 1e6 + tokensIn(sums.usage) + sums.usage.output + sums.requests / 1e6;
  return list.sort((one, other) => weight(other.sums) - weight(one.sums));
}

/** @param {{groups: any[]}} props */
function Totals({ groups }) {
  const sums = groups.reduce((into, row) => add(into, row.sums), {});
  const some = groups.length > 0;
  const figures = [
    [t('Requests'), some ? count(sums.requests) : '0', some && sums.requests ? t('{share} failed', { share: percent((100 * sums.failed) / sums.requests) }) : ''],
    [t('Tokens in'), some ? short(tokensIn(sums.usage)) : '0', some ? t('{n} from caches', { n: short(sums.usage.cached_input) }) : ''],
    [t('Tokens out'), some ? short(sums.usage.output) : '0', some ? t('{n} of it reasoning', { n: short(sums.usage.reasoning) }) : ''],
    [t('Cost'), some ? money(sums.cost) : money(0), some && sums.unpriced ? t('{n} calls without a price', { n: count(sums.unpriced) }) : t('all calls priced')],
    [t('First token, mean'), some && sums.first_events ? span(sums.first_event_ms / sums.first_events) : '–', ''],
    [t('Time in queues, mean'), some && sums.requests ? span(sums.queue_ms / sums.requests) : '–', ''],
  ];
  return html`<dl class="stats">${figures.map(([name, value, below]) => html`<div key=${name} class="stat"><dt>${name}</dt><dd>${value}</dd>${below && html`<dd class="below">${below}</dd>`}</div>`)}</dl>`;
}

/** @param {{rows: any[], groups: any[], asked: any, grain: 'hour' | 'day', measure: string, onMeasure: (name: string) => void}} props */
function UsageChart({ rows, groups, asked, grain, measure, onMeasure }) {
  const chosen = /** @type {any} */ (MEASURES[measure]);
  const { xs, series } = useMemo(() => charted(rows, groups, asked, chosen), [rows, groups, asked, measure]);
  const named = series.map((one) => ({ ...one, name: one.name === '' ? t('none') : one.name === 'rest' ? t('All others') : one.name === 'all' ? t(chosen.name) : one.name }));
  const options = Object.entries(MEASURES).map(([value, one]) => ({ value, text: t(one.name) }));
  return html`<${Chart} title=${t(chosen.title ?? chosen.name)} unit=${t(chosen.unit)} xs=${xs} series=${named} grain=${grain} kind="bars" height=${260} divisible=${measure === 'cost'} format=${chosen.format}
    empty=${t('Nothing was used in this range')} actions=${html`<${Choice} label=${t('Measure')} value=${measure} options=${options} onChange=${onMeasure} />`} />`;
}

/** Every bucket of the range, empty ones as zero; the smallest groups together. @param {any[]} rows @param {any[]} groups @param {any} asked @param {any} measure */
function charted(rows, groups, asked, measure) {
  if (rows.length === 0) return { xs: [], series: [] };
  /** @type {number[]} */
  const xs = [];
  for (let at = asked.from; at <= Date.now(); at += asked.unit) xs.push(at);
  const place = new Map(xs.map((at, n) => [at, n]));
  const leaders = groups.slice(0, SERIES_MAX).map((row) => row.group);
  const names = groups.length > SERIES_MAX ? [...leaders, 'rest'] : leaders;
  const values = new Map(names.map((name) => [name, xs.map(() => 0)]));
  const single = rows.every((row) => row.group === null);
  for (const row of rows) {
    // What the API summed up has no name; a caller without a team has an empty one.
    const name = row.group ?? (single ? '' : 'rest');
    const column = values.get(leaders.includes(name) ? name : 'rest');
    const n = place.get(row.bucket);
    if (column && n !== undefined) column[n] += measure.of(row.sums);
  }
  return { xs, series: names.map((name, n) => ({ name: single ? 'all' : name, swatch: String(name === 'rest' ? 8 : n + 1), values: /** @type {number[]} */ (values.get(name)) })) };
}

/** Where the requests of a group are found. @param {string} by @param {string} group */
const requestsOf = (by, group) => `/requests?${new URLSearchParams(by.startsWith('tag:') ? { tag: `${by.slice(4)}=${group}` } : { [by]: group })}`;

/** @param {string} by @param {any[]} groups @returns {Column[]} */
function groupColumns(by, groups) {
  const whole = groups.reduce((sum, row) => sum + Number(row.sums.cost), 0);
  return [
    { title: by === 'none' ? t('All') : t('Group'), cell: (row) => html`<span class="name wrap-anywhere">${row.group ? html`<${Link} to=${requestsOf(by, row.group)}>${row.group}<//>` : by === 'none' ? t('All') : t('none')}</span>` },
    { title: t('Requests'), number: true, cell: (row) => count(row.sums.requests) },
    { title: t('Failed'), number: true, cell: (row) => (row.sums.requests ? percent((100 * row.sums.failed) / row.sums.requests) : '–') },
    { title: t('Tokens in'), number: true, cell: (row) => short(tokensIn(row.sums.usage)) },
    { title: t('Tokens out'), number: true, cell: (row) => short(row.sums.usage.output) },
    { title: t('First token, mean'), number: true, cell: (row) => (row.sums.first_events ? span(row.sums.first_event_ms / row.sums.first_events) : '–') },
    { title: t('Cost'), number: true, cell: (row) => html`${money(row.sums.cost)}${row.sums.unpriced ? html`<span class="quiet small" title=${t('{n} calls without a price', { n: count(row.sums.unpriced) })}> +?</span>` : ''}` },
    { title: t('Share'), number: true, hidden: whole === 0, cell: (row) => percent((100 * Number(row.sums.cost)) / whole) },
  ];
}
