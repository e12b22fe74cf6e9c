// Labelled fields; each says what is wrong with it beside it, and no field is without a label.
import { html, useId } from '../lib.js';
import { heard } from '../text/problems.js';
import { t } from '../text/text.js';
import { Button } from './controls.js';

/**
 * @typedef {{label: string, value: any, onChange: (value: any) => void, hint?: any, wrong?: string, disabled?: boolean,
 *   placeholder?: string, type?: string, unit?: string, wide?: boolean, required?: boolean, autofocus?: boolean,
 *   list?: string[], spellcheck?: boolean, autocomplete?: string, min?: number, step?: string, name?: string}} FieldProps
 */

/** @param {{id: string, label: string, hint?: any, wrong?: string, wide?: boolean, children?: any}} props */
function Frame({ id, label, hint, wrong, wide, children }) {
  return html`<div class=${`field ${wide ? 'wide' : ''}`}>
    <label for=${id}>${label}</label>${children}
    ${wrong ? html`<span class="wrong" id=${`${id}-more`}>${wrong}</span>` : hint && html`<span class="hint" id=${`${id}-more`}>${hint}</span>`}
  </div>`;
}

/** @param {FieldProps} props */
export function TextField(props) {
  const id = useId();
  const { label, value, onChange, hint, wrong, wide, unit, list, type = 'text', ...rest } = props;
  const input = html`<input class="input" id=${id} type=${type} value=${value ?? ''} list=${list ? `${id}-list` : undefined}
    onInput=${(/** @type {any} */ event) => onChange(event.currentTarget.value)} aria-invalid=${wrong ? 'true' : undefined}
    aria-describedby=${wrong || hint ? `${id}-more` : undefined} spellcheck=${false} autocomplete="off" ...${rest} />`;
  return html`<${Frame} ...${{ id, label, hint, wrong, wide }}>
    ${unit ? html`<div class="with-unit">${input}<span aria-hidden="true">${unit}</span></div>` : input}
    ${list && html`<datalist id=${`${id}-list`}>${list.map((item) => html`<option key=${item} value=${item} />`)}</datalist>`}
  <//>`;
}

/** Empty means: none. @param {FieldProps} props */
export function NumberField(props) {
  return html`<${TextField} type="number" min=${0} step="any" inputmode="decimal" ...${props} />`;
}

/** A moment in this place's time; its value is written in UTC. @param {FieldProps} props */
export function MomentField({ value, onChange, ...rest }) {
  const put = (/** @type {string} */ text) => onChange(text ? new Date(text).toISOString() : '');
  return html`<${TextField} type="datetime-local" value=${local(value)} onChange=${put} ...${rest} />`;
}

/** As a browser's field for a moment wants it: without a zone. @param {string | null | undefined} moment */
function local(moment) {
  const at = new Date(moment ?? '');
  return Number.isNaN(at.getTime()) ? '' : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** @param {FieldProps & {options: {value: string, text: string}[]}} props */
export function SelectField({ label, value, onChange, hint, wrong, wide, options, disabled }) {
  const id = useId();
  return html`<${Frame} ...${{ id, label, hint, wrong, wide }}>
    <select class="input" id=${id} value=${value} disabled=${disabled} aria-describedby=${wrong || hint ? `${id}-more` : undefined}
      onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}>
      ${options.map((option) => html`<option key=${option.value} value=${option.value} selected=${option.value === value}>${option.text}</option>`)}
    </select><//>`;
}

/** @param {FieldProps & {rows?: number}} props */
export function AreaField({ label, value, onChange, hint, wrong, wide = true, rows = 3, ...rest }) {
  const id = useId();
  return html`<${Frame} ...${{ id, label, hint, wrong, wide }}>
    <textarea class="input" id=${id} rows=${rows} value=${value ?? ''} aria-describedby=${wrong || hint ? `${id}-more` : undefined}
      onInput=${(/** @type {any} */ event) => onChange(event.currentTarget.value)} ...${rest}></textarea><//>`;
}

/** @param {{label: string, value: boolean, onChange: (value: boolean) => void, disabled?: boolean, hint?: string}} props */
export function CheckField({ label, value, onChange, disabled, hint }) {
  const id = useId();
  return html`<div class="field"><span class="check"><input type="checkbox" id=${id} checked=${value} disabled=${disabled}
      aria-describedby=${hint ? `${id}-more` : undefined}
      onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.checked)} /><label for=${id}>${label}</label></span>
    ${hint && html`<span class="hint" id=${`${id}-more`}>${hint}</span>`}</div>`;
}

/**
 * Some of several; none of them means all.
 * @param {{legend: string, value: string[], onChange: (value: string[]) => void, options: string[], hint?: string, wrong?: string}} props
 */
export function SomeField({ legend, value, onChange, options, hint, wrong }) {
  const id = useId();
  const put = (/** @type {string} */ name, /** @type {boolean} */ is) => onChange(options.filter((one) => (one === name ? is : value.includes(one))));
  return html`<fieldset class="some wide" aria-describedby=${wrong || hint ? `${id}-more` : undefined}><legend>${legend}</legend><div class="choices">
      ${options.map((name) => html`<label key=${name} class="check"><input type="checkbox" checked=${value.includes(name)} onChange=${(/** @type {any} */ event) => put(name, event.currentTarget.checked)} />${name}</label>`)}</div>
    ${wrong ? html`<span class="wrong" id=${`${id}-more`}>${wrong}</span>` : hint && html`<span class="hint" id=${`${id}-more`}>${hint}</span>`}</fieldset>`;
}

/** @typedef {{id: number, name: string, value: string}} Pair */

let lastPair = 0;

/** @param {Record<string, string> | null | undefined} entries @returns {Pair[]} */
export const pairsOf = (entries) => Object.entries(entries ?? {}).map(([name, value]) => ({ id: ++lastPair, name, value }));

/** What is to be sent: those that were taken away as null. @param {Pair[]} pairs @param {Record<string, string> | null | undefined} before */
export function entriesOf(pairs, before) {
  /** @type {Record<string, string | null>} */
  const entries = Object.fromEntries(Object.keys(before ?? {}).map((name) => [name, null]));
  for (const { name, value } of pairs) if (name.trim()) entries[name.trim()] = value.trim();
  return entries;
}

/** @param {{pairs: Pair[], onChange: (pairs: Pair[]) => void, wrong?: string}} props */
export function PairLines({ pairs, onChange, wrong }) {
  const set = (/** @type {Pair} */ pair, /** @type {any} */ changes) => onChange(pairs.map((one) => (one.id === pair.id ? { ...one, ...changes } : one)));
  return html`<div class="lines">
    ${pairs.map((pair) => html`<div key=${pair.id} class="line">
      <${TextField} label=${t('Tag')} value=${pair.name} onChange=${(/** @type {string} */ name) => set(pair, { name })} placeholder="app" />
      <${TextField} label=${t('Value')} value=${pair.value} onChange=${(/** @type {string} */ value) => set(pair, { value })} />
      <${Button} icon="trash" kind="plain" label=${t('Remove {name}', { name: pair.name || t('this tag') })} onClick=${() => onChange(pairs.filter((one) => one.id !== pair.id))} />
    </div>`)}
    ${wrong && html`<span class="wrong">${wrong}</span>`}
    <div><${Button} icon="plus" kind="small" onClick=${() => onChange([...pairs, { id: ++lastPair, name: '', value: '' }])}>${t('Add tag')}<//></div>
  </div>`;
}

/** Several values in one field, a comma between two. @param {string} text */
export const listed = (text) => text.split(/[,，\n]/).map((part) => part.trim()).filter(Boolean);

/** A number field's text as a number, and nothing as null. @param {string | number | null | undefined} text */
export function numeric(text) {
  if (text === null || text === undefined || String(text).trim() === '') return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : String(text);
}

/**
 * What the API found wrong, by field; what belongs to no field of the form is told apart.
 * @param {any} problem @param {string[]} fields
 */
export function sorted(problem, fields) {
  /** @type {Record<string, string>} */
  const by = {};
  /** @type {string[]} */
  const others = [];
  for (const error of problem?.errors ?? []) {
    const text = [heard(error.message), error.suggestion].filter(Boolean).join('. ');
    const field = fields.find((name) => error.path === name || error.path.startsWith(`${name}.`) || error.path.startsWith(`${name}[`) || error.path.endsWith(`: ${name}`) || error.path.endsWith(`.${name}`));
    if (field) by[field] = text;
    else others.push(error.path ? `${error.path}: ${text}` : text);
  }
  if (problem && !problem.errors?.length) others.push(heard(problem.message ?? String(problem)));
  if (problem && Object.keys(by).length && !others.length) others.push(t('Please look at the marked fields.'));
  return { by, others };
}
