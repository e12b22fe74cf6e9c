// One backend in full: what it is, what the gateway learned of it, and what can be done to it.
import { html, useState } from '../../lib.js';
import { call, may } from '../../state/api.js';
import { Link } from '../../state/route.js';
import { count, exactMoney, percent, since, span, when } from '../../text/format.js';
import { say, t } from '../../text/text.js';
import { Badge, Button } from '../../ui/controls.js';
import { Confirm, Dialog } from '../../ui/dialog.js';
import { Notice } from '../../ui/states.js';
import { attempt, tell } from '../../ui/toasts.js';
import { rateOf, toggle } from '../backends.js';
import { PaceBadge, StateBadge, cooldownEnds } from './state.js';

/** @param {{backend: any, onClose: () => void, onEdit: () => void, onChanged: () => void}} props */
export function BackendDetails({ backend, onClose, onEdit, onChanged }) {
  const [asking, setAsking] = useState(false);
  const [testing, setTesting] = useState(false);
  const [report, setReport] = useState(/** @type {any} */ (null));
  const own = backend.source === 'api';
  const at = `/admin/backends/${encodeURIComponent(backend.id)}`;
  const test = async () => {
    setTesting(true);
    setReport(await attempt(() => call('POST', `${at}/test`)));
    setTesting(false);
  };
  const reset = async () => {
    await attempt(() => call('POST', `${at}/reset`), t('Cooldown, breaker and errors are cleared'));
    onChanged();
  };
  const remove = async () => {
    const done = await attempt(() => call('DELETE', at, { revision: backend.revision }).then(() => true));
    if (!done) return;
    tell(t('{name} is deleted', { name: backend.name }));
    onChanged();
    onClose();
  };
  const foot = may('operator') && html`
    ${own && may('admin') && html`<${Button} kind="danger plain first" icon="trash" onClick=${() => setAsking(true)}>${t('Delete')}<//>`}
    <${Button} icon="rotate" onClick=${reset}>${t('Reset')}<//>
    ${own && html`<${Button} onClick=${() => toggle(backend, onChanged)}>${backend.enabled ? t('Disable') : t('Enable')}<//>`}
    <${Button} icon="pulse" busy=${testing} onClick=${test}>${t('Test')}<//>
    ${own && may('admin') && html`<${Button} kind="primary" icon="edit" onClick=${onEdit}>${t('Edit')}<//>`}`;
  return html`<${Dialog} title=${backend.name} about=${backend.base_url} kind="sheet" onClose=${onClose} foot=${foot}>
    <div class="stack">
      <div class="row"><${StateBadge} status=${backend.status} ends=${cooldownEnds(backend.status)} />
        <${Badge}>${say(backend.source)}<//>${backend.status && html`<${PaceBadge} pace=${backend.status.pace} />`}
        <${Link} to=${`/requests?backend=${encodeURIComponent(backend.name)}`} class="beside">${t('Its requests')}<//></div>
      ${!own && html`<${Notice}>${t('Source: {source}. It is changed there, and a reload takes it over.', { source: say(backend.source) })}<//>`}
      ${backend.problem && html`<${Notice} tone="bad">${backend.problem}<//>`}
      ${report && html`<${Report} report=${report} />`}
      <${Standing} status=${backend.status} />
      <${Meant} backend=${backend} />
      <${ModelList} models=${backend.models} status=${backend.status} />
    </div>
    ${asking && html`<${Confirm} title=${t('Delete {name}?', { name: backend.name })} action=${t('Delete')} onYes=${remove} onClose=${() => setAsking(false)}>
      ${t('Requests in flight go on. Its credential is forgotten. What it served stays in the ledger.')}<//>`}
  <//>`;
}

/** @param {{report: any}} props */
function Report({ report }) {
  const models = report.models ?? [];
  return html`<div data-testid="test-report"><${Notice} tone=${report.ok ? 'good' : 'bad'}>
    <strong>${report.ok ? t('It answers') : t('It does not answer as it should')}</strong> · ${span(report.latency_ms)}${report.status ? ` · HTTP ${report.status}` : ''}
    ${report.error && html`<div class="wrap-anywhere">${report.error}</div>`}
    ${models.length > 0 && html`<div class="small">${t('{n} models', { n: count(models.length) })}: ${models.slice(0, 12).join(', ')}${models.length > 12 ? ' …' : ''}</div>`}<//></div>`;
}

/** @param {{status: any}} props */
function Standing({ status }) {
  if (!status) return html`<${Notice} tone="warn">${t('The data plane does not know it yet.')}<//>`;
  const told = status.told ?? {};
  const left = (/** @type {any} */ remaining, /** @type {any} */ limit) => (remaining === null && limit === null ? t('said nothing') : `${count(remaining)} / ${count(limit)}`);
  const rows = [
    [t('In flight'), `${count(status.in_flight)}${status.concurrency === null ? '' : ` / ${count(status.concurrency)}`}`],
    [t('Request bucket'), status.bucket_level === null ? t('no limit') : `${count(status.bucket_level)} / ${count(status.bucket_capacity)}`],
    [t('Rate in force'), rateOf(status)],
    [t('Token bucket'), status.token_level === null ? t('no limit') : `${count(status.token_level)} · ${t('{n}/min', { n: count(status.tpm) })}`],
    [t('Provider said, requests'), left(told.requests_remaining, told.requests_limit)],
    [t('Provider said, tokens'), left(told.tokens_remaining, told.tokens_limit)],
    [t('429s in the last minute'), status.limited_percent === null ? '–' : percent(status.limited_percent)],
    [t('Calls'), t('{n}, of these {failed} failed, {limited} said 429', { n: count(status.requests), failed: count(status.failures), limited: count(status.rate_limited) })],
    [t('Last error'), status.last_error ? `${status.last_error} (${since(status.last_error_age_ms)})` : t('none')],
  ];
  return html`<section><h3>${t('Learned')}</h3><${Pairs} rows=${rows} /></section>`;
}

/** @param {{backend: any}} props */
function Meant({ backend }) {
  const limits = backend.limits ?? {};
  const { set = [], allow = [], deny = [] } = backend.headers ?? {};
  const headers = [...set.map((/** @type {string} */ name) => `= ${name}`), ...allow.map((/** @type {string} */ name) => `+ ${name}`), ...deny.map((/** @type {string} */ name) => `− ${name}`)];
  const rows = [
    [t('Kind'), backend.kind ?? '–'],
    [t('Address'), backend.base_url ?? '–'],
    [t('Credential'), backend.api_key ? html`<code>${backend.api_key}</code>` : t('none')],
    [t('Pool and weight'), `${backend.pool ?? '–'} · ${count(backend.weight)}`],
    [t('Limits'), [limits.rpm !== null && limits.rpm !== undefined && t('{n} requests/min', { n: count(limits.rpm) }), limits.tpm && t('{n} tokens/min', { n: count(limits.tpm) }), limits.concurrency && t('{n} at once', { n: count(limits.concurrency) })].filter(Boolean).join(' · ') || t('none')],
    [t('Deadlines'), Object.entries(backend.deadlines ?? {}).map(([name, value]) => `${say(name)} ${value}`).join(' · ') || '–'],
    [t('Headers of requests'), headers.join(' · ') || t('the gateway\'s own rule')],
    [t('Changed'), backend.updated ? when(backend.updated) : '–'],
  ];
  return html`<section><h3>${t('Configured')}</h3><${Pairs} rows=${rows} /></section>`;
}

/** @param {{models: any, status: any}} props */
function ModelList({ models, status }) {
  const names = Object.keys(models ?? {});
  if (models === null || models === undefined) {
    const heard = (status?.models ?? []).map((/** @type {any} */ one) => one.native);
    return html`<section><h3>${t('Models')}</h3><p class="soft">${t('What its own list says.')} ${heard.join(', ')}</p></section>`;
  }
  return html`<section><h3>${t('Models')}</h3><ul class="plain-list">${names.map((name) => html`<li key=${name} class="row apart"><span class="strong wrap-anywhere">${name}</span>
    <span class="quiet small wrap-anywhere">${models[name].native !== name ? models[name].native : ''}${models[name].price ? ` · ${exactMoney(models[name].price.input)} / ${exactMoney(models[name].price.output)}` : ''}</span></li>`)}</ul></section>`;
}

/** @param {{rows: any[][]}} props */
export function Pairs({ rows }) {
  return html`<dl class="pairs">${rows.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>`;
}
