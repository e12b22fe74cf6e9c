// Asks what would become of a request that came now, and shows for each backend why or why not.
import { html, useState } from '../../lib.js';
import { call } from '../../state/api.js';
import { count, span } from '../../text/format.js';
import { say, t } from '../../text/text.js';
import { Badge, Button } from '../../ui/controls.js';
import { NumberField, SelectField, TextField } from '../../ui/fields.js';
import { Notice } from '../../ui/states.js';

const CLASSES = ['urgent', 'high', 'normal', 'low'];

export function ExplainCard() {
  const [form, setForm] = useState({ model: '', key: '', class: '', tokens: '' });
  const [answer, setAnswer] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const field = (/** @type {keyof typeof form} */ name) => ({ value: form[name], onChange: (/** @type {string} */ value) => setForm((now) => ({ ...now, [name]: value })) });
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    const wanted = new URLSearchParams(Object.entries(form).filter(([, value]) => value !== ''));
    try {
      setAnswer(await call('GET', `/admin/explain?${wanted}`));
      setProblem(null);
    } catch (refused) {
      setAnswer(null);
      setProblem(refused);
    }
    setBusy(false);
  };
  const classes = [{ value: '', text: t('Normal') }, ...CLASSES.map((value) => ({ value, text: say(value) }))];
  return html`<section class="card"><header><div><h2>${t('Explain')}</h2><p>${t('What would become of a request that came now? Nothing is sent.')}</p></div></header>
    <div class="body stack"><form class="filters" onSubmit=${submit}>
      <${TextField} label=${t('Model')} ...${field('model')} required=${true} /><${TextField} label=${t('Key, by name')} ...${field('key')} />
      <${SelectField} label=${t('Class')} ...${field('class')} options=${classes} /><${NumberField} label=${t('Tokens')} ...${field('tokens')} />
      <div class="row filter-tools"><${Button} type="submit" busy=${busy}>${t('Explain')}<//></div></form>
      ${problem && html`<${Notice} tone="bad">${problem.errors?.map((/** @type {any} */ one) => one.message).join('; ') || problem.message}<//>`}
      ${answer && html`<${Explanation} of=${answer} />`}</div></section>`;
}

/** Whatever is explained, in words: lists of candidates as a list, all else as pairs. @param {{of: any}} props */
export function Explanation({ of }) {
  const candidates = Object.entries(of).find(([, value]) => Array.isArray(value) && value.some((one) => typeof one === 'object'));
  const rest = Object.entries(of).filter(([name]) => name !== candidates?.[0]);
  return html`<div class="stack tight" data-testid="explanation"><div class="row">${rest.map(([name, value]) => html`<${Badge} key=${name} tone="accent">${say(name)}: ${plain(value, name)}<//>`)}</div>
    ${candidates && html`<ul class="plain-list">${/** @type {any[]} */ (candidates[1]).map((one, n) => html`<li key=${n}><${Candidate} of=${one} /></li>`)}</ul>`}</div>`;
}

/** @param {{of: any}} props */
function Candidate({ of }) {
  const { backend, name, ...rest } = of;
  return html`<div class="row apart"><span class="strong">${backend ?? name ?? '–'}</span><span class="row small soft">
    ${Object.entries(rest).filter(([, value]) => value !== null && value !== false).map(([field, value]) => html`<span key=${field}>${say(field)}: ${plain(value, field)}</span>`)}</span></div>`;
}

/** @param {any} value @param {string} [field] @returns {string} */
function plain(value, field = '') {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'number') return field.endsWith('_ms') ? span(value) : count(value);
  if (typeof value === 'boolean') return value ? t('yes') : t('no');
  if (typeof value === 'string') return say(value);
  if (Array.isArray(value)) return value.map((one) => plain(one)).join(', ') || '–';
  return Object.entries(value).map(([name, inner]) => `${say(name)} ${plain(inner, name)}`).join(', ');
}
