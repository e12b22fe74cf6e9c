// Talks with a model through the gateway as a client would, with a key that stays in this tab's memory.
import { html, signal, useEffect, useRef, useState } from '../lib.js';
import { call } from '../state/api.js';
import { useResource } from '../state/resource.js';
import { Link } from '../state/route.js';
import { count, money, span, tokensIn } from '../text/format.js';
import { t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { AreaField, NumberField, TextField, numeric } from '../ui/fields.js';
import { Fold } from '../ui/fold.js';
import { PageHead } from '../ui/page.js';
import { Empty, Notice } from '../ui/states.js';
import { Refused, answer, models } from './playground/speak.js';

/** @typedef {{role: 'user' | 'assistant', text: string, note?: any, failed?: string, busy?: boolean}} Said */

/** What was typed survives a look at another page, not a new load. */
const kept = signal({ key: '', model: '', system: '', temperature: '', max: '', said: /** @type {Said[]} */ ([]) });
const RECEIPT_TRIES = 8;

export function Playground() {
  const state = kept.value;
  const set = (/** @type {Partial<typeof state>} */ changes) => (kept.value = { ...kept.value, ...changes });
  const [names, setNames] = useState(/** @type {string[]} */ ([]));
  const [refused, setRefused] = useState('');
  const [shown, setShown] = useState(!state.model);
  const [text, setText] = useState('');
  const running = useRef(/** @type {AbortController | null} */ (null));
  const keys = useResource('/admin/keys', { whole: true });
  const open = keys.value?.keys.length === 0;
  useEffect(() => {
    // Without a key a gateway that has keys would only refuse.
    if (!open && !state.key.trim()) {
      setNames([]);
      setRefused('');
      return undefined;
    }
    let wanted = true;
    const timer = setTimeout(async () => {
      const found = await models(state.key).catch((/** @type {any} */ problem) => problem);
      if (!wanted) return;
      setNames(Array.isArray(found) ? found : []);
      setRefused(Array.isArray(found) ? '' : found.message);
      const first = Array.isArray(found) ? found[0] : undefined;
      if (!first || kept.value.model) return;
      set({ model: first });
      if (open) setShown(false);
    }, 300);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [state.key, open]);
  useEffect(() => () => running.current?.abort(), []);
  const busy = state.said.at(-1)?.busy === true;
  const ask = () => send(text, running, () => setText(''));
  const typed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!busy) ask();
    }
  };
  return html`<${PageHead} title=${t('Playground')} about=${t('A conversation through the gateway, as a client has it. It is counted and charged.')}>
      <${Button} icon="trash" disabled=${state.said.length === 0} onClick=${() => { running.current?.abort(); set({ said: [] }); }}>${t('Clear')}<//><//>
    <div class="playground">
      <section class="card talk"><${Talk} said=${state.said} />
        <form class="say" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); if (!busy) ask(); }}>
          <${AreaField} label=${t('Your message')} value=${text} onChange=${setText} rows=${2} onKeyDown=${typed} placeholder=${t('Enter sends, Shift and Enter begin a line')} />
          ${busy ? html`<${Button} icon="stop" kind="danger" onClick=${() => running.current?.abort()}>${t('Stop')}<//>` : html`<${Button} icon="play" kind="primary" type="submit" disabled=${!text.trim() || !state.model.trim()}>${t('Send')}<//>`}
        </form></section>
      <section class="card"><${Fold} icon="settings" title=${state.model ? html`${t('Parameters')} <${Badge}>${state.model}<//>` : t('Parameters')} open=${shown} onToggle=${() => setShown(!shown)}>
        <header class="on-wide"><h2>${t('Parameters')}</h2></header><div class="body stack">
        <${KeyField} open=${open} value=${state.key} onChange=${(/** @type {string} */ key) => set({ key })} refused=${refused} />
        <${TextField} label=${t('Model')} value=${state.model} list=${names} onChange=${(/** @type {string} */ model) => set({ model })} hint=${names.length ? t('{n} models to choose from', { n: count(names.length) }) : undefined} />
        <${AreaField} label=${t('Instructions')} value=${state.system} rows=${3} onChange=${(/** @type {string} */ system) => set({ system })} />
        <div class="row pair"><${NumberField} label=${t('Temperature')} value=${state.temperature} onChange=${(/** @type {string} */ temperature) => set({ temperature })} />
          <${NumberField} label=${t('At most, tokens')} value=${state.max} onChange=${(/** @type {string} */ max) => set({ max })} /></div>
      </div><//></section></div>`;
}

/** @param {{open: boolean, value: string, onChange: (value: string) => void, refused: string}} props */
function KeyField({ open, value, onChange, refused }) {
  const hint = open && !refused ? t('No key exists: programs on this machine need none.') : t('A gateway key. It stays in the memory of this tab.');
  return html`<div class="stack tight"><${TextField} label=${t('Key')} type="password" value=${value} onChange=${onChange} hint=${hint} autocomplete="off" placeholder="lg-…" />
    ${refused && html`<${Notice} tone="warn">${refused} <${Link} to="/keys">${t('Create key')}<//><//>`}</div>`;
}

/** @param {{said: Said[]}} props */
function Talk({ said }) {
  const end = useRef(/** @type {HTMLElement | null} */ (null));
  const length = said.at(-1)?.text.length;
  useEffect(() => {
    if (end.current) end.current.scrollTop = end.current.scrollHeight;
  }, [said.length, length]);
  return html`<div class="said" ref=${end} tabindex="0" role="log" aria-label=${t('Conversation')}>
    ${said.length === 0 && html`<${Empty} icon="playground" title=${t('Say something')}>${t('The answer appears word by word, with its time, tokens and cost.')}<//>`}
    ${said.map((one, n) => html`<article key=${n} class=${one.role}>
      <header class="quiet small">${one.role === 'user' ? t('You') : t('Model')}</header>
      <div class="text" data-testid=${`said-${one.role}`}>${one.text}${one.busy && html`<span class="caret" />`}</div>
      ${one.failed && html`<${Notice} tone="bad">${one.failed}<//>`}
      ${one.note && html`<${Note} note=${one.note} />`}</article>`)}</div>`;
}

/** @param {{note: any}} props */
function Note({ note }) {
  const { receipt } = note;
  return html`<footer class="row small" data-testid="note">
    ${note.stopped && html`<${Badge}>${t('Stopped')}<//>`}<span class="quiet">${t('first token {time}', { time: span(note.first) })} · ${t('{time} in all', { time: span(note.total) })}</span>
    ${receipt ? html`<span class="quiet">${t('{in} in, {out} out', { in: count(tokensIn(receipt.usage)), out: count(receipt.usage.output) })} · ${receipt.unpriced ? t('no price') : money(receipt.cost)} · ${receipt.backend}</span>
      <${Link} to=${`/requests?open=${encodeURIComponent(receipt.request_id)}`}>${t('Receipt')}<//>` : html`<span class="quiet">${note.tokens ? t('{in} in, {out} out', note.tokens) : ''}</span>`}</footer>`;
}

/** @param {Partial<Said>} changes */
function change(changes) {
  const said = [...kept.value.said];
  const last = said.at(-1);
  if (last) said[said.length - 1] = { ...last, ...changes };
  kept.value = { ...kept.value, said };
}

/** @param {string} text @param {{current: AbortController | null}} running @param {() => void} onSent */
async function send(text, running, onSent) {
  const { key, model, system, temperature, max, said } = kept.value;
  if (!text.trim()) return;
  const history = [...said.filter((one) => !one.failed), { role: /** @type {const} */ ('user'), text: text.trim() }];
  const messages = [...(system.trim() ? [{ role: 'system', content: system.trim() }] : []), ...history.map((one) => ({ role: one.role, content: one.text }))];
  kept.value = { ...kept.value, said: [...said, { role: 'user', text: text.trim() }, { role: 'assistant', text: '', busy: true }] };
  onSent();
  const controller = new AbortController();
  running.current = controller;
  /** @type {any} */
  const note = { began: performance.now(), first: null, total: null, stopped: false, request: null };
  /** @type {any} */
  const body = { model: model.trim(), messages, stream: true, stream_options: { include_usage: true } };
  if (numeric(temperature) !== null) body.temperature = numeric(temperature);
  if (numeric(max) !== null) body.max_tokens = numeric(max);
  let failed;
  try {
    let whole = '';
    for await (const piece of answer(key, body, controller.signal)) {
      if (piece.request) note.request = piece.request;
      if (piece.usage) note.tokens = { in: count(piece.usage.prompt_tokens), out: count(piece.usage.completion_tokens) };
      if (!piece.text) continue;
      note.first ??= performance.now() - note.began;
      whole += piece.text;
      change({ text: whole });
    }
  } catch (problem) {
    note.stopped = controller.signal.aborted;
    note.request ??= problem instanceof Refused ? problem.request : null;
    if (!note.stopped) failed = /** @type {any} */ (problem).message;
  }
  note.total = performance.now() - note.began;
  change({ busy: false, failed, note: { ...note } });
  if (note.request) await receiptOf(note);
}

/** The receipt comes a moment after the answer's end. @param {any} note */
async function receiptOf(note) {
  for (let n = 0; n < RECEIPT_TRIES; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, 250 * (n + 1)));
    const found = await call('GET', `/admin/requests?limit=20`).catch(() => null);
    const receipt = found?.requests.find((/** @type {any} */ one) => one.request_id === note.request);
    if (receipt) {
      change({ note: { ...note, receipt } });
      return;
    }
  }
}
