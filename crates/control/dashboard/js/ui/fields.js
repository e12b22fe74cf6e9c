// Labelled fields; each says what is wrong with it beside it, and no field is without a label.
import { html, useId } from '../lib.js';
import { t } from '../text/text.js';

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
    const text = [error.message, error.suggestion].filter(Boolean).join('. ');
    const field = fields.find((name) => error.path === name || error.path.startsWith(`${name}.`) || error.path.endsWith(`: ${name}`));
    if (field) by[field] = text;
    else others.push(error.path ? `${error.path}: ${text}` : text);
  }
  if (problem && !problem.errors?.length) others.push(problem.message ?? String(problem));
  if (problem && Object.keys(by).length && !others.length) others.push(t('Please look at the marked fields.'));
  return { by, others };
}
