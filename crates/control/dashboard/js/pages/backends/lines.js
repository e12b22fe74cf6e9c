// The models of a backend as lines of a form, and back; prices are dollars per million tokens, as in the file.
import { html } from '../../lib.js';
import { t } from '../../text/text.js';
import { Button } from '../../ui/controls.js';
import { NumberField, TextField, numeric } from '../../ui/fields.js';
import { Notice } from '../../ui/states.js';

/** @typedef {{id: number, name: string, native: string, input: string, cached: string, output: string, context: string, was: any}} Line */

let last = 0;

/** @param {any} models @returns {Line[]} */
export function linesOf(models) {
  return Object.entries(models ?? {}).map(([name, model]) => ({
    id: ++last, name, native: model.native === name ? '' : model.native, input: model.price?.input ?? '', cached: model.price?.cached_input ?? '',
    output: model.price?.output ?? '', context: model.context ?? '', was: model,
  }));
}

/** What is to be sent: those that were taken away as null, the parts of a price that no field shows as they were.
 * @param {Line[]} lines @param {any} before */
export function modelsOf(lines, before) {
  /** @type {Record<string, any>} */
  const models = Object.fromEntries(Object.keys(before).map((name) => [name, null]));
  for (const line of lines) {
    const name = line.name.trim();
    if (!name) continue;
    const { native: _, ...kept } = line.was ?? {};
    const price = line.input === '' && line.output === '' ? null : priceOf(line);
    models[name] = { ...kept, native: line.native.trim() || name, price, context: numeric(line.context) };
    for (const field of Object.keys(models[name])) if (models[name][field] === null && !(field in (before[name] ?? {}))) delete models[name][field];
  }
  return models;
}

/** @param {Line} line */
function priceOf(line) {
  /** @type {any} */
  const price = { ...line.was?.price, input: String(line.input || 0), output: String(line.output || 0) };
  if (line.cached !== '') price.cached_input = String(line.cached);
  else if (line.was?.price?.cached_input !== undefined) price.cached_input = null;
  return price;
}

/** @param {{lines: Line[], wrong?: string, onChange: (lines: Line[]) => void}} props */
export function ModelLines({ lines, wrong, onChange }) {
  const set = (/** @type {Line} */ line, /** @type {any} */ changes) => onChange(lines.map((one) => (one.id === line.id ? { ...one, ...changes } : one)));
  const add = () => onChange([...lines, { id: ++last, name: '', native: '', input: '', cached: '', output: '', context: '', was: null }]);
  return html`<div class="lines">
    ${wrong && html`<${Notice} tone="bad">${wrong}<//>`}
    ${lines.map((line) => html`<div key=${line.id} class="line model">
      <${TextField} label=${t('Model')} value=${line.name} onChange=${(/** @type {string} */ name) => set(line, { name })} placeholder="deepseek-v4" />
      <${TextField} label=${t('Its own name for it')} value=${line.native} onChange=${(/** @type {string} */ native) => set(line, { native })} placeholder=${line.name} />
      <${NumberField} label=${t('Context')} value=${line.context} onChange=${(/** @type {string} */ context) => set(line, { context })} />
      <${Button} icon="trash" kind="plain" label=${t('Remove {name}', { name: line.name || t('this model') })} onClick=${() => onChange(lines.filter((one) => one.id !== line.id))} />
      <${NumberField} label=${t('Input, $/M')} value=${line.input} onChange=${(/** @type {string} */ input) => set(line, { input })} />
      <${NumberField} label=${t('Cached, $/M')} value=${line.cached} onChange=${(/** @type {string} */ cached) => set(line, { cached })} />
      <${NumberField} label=${t('Output, $/M')} value=${line.output} onChange=${(/** @type {string} */ output) => set(line, { output })} />
    </div>`)}
    <div><${Button} icon="plus" kind="small" onClick=${add}>${t('Add model')}<//></div>
  </div>`;
}
