// Asks what would become of a request that came now, and shows for each backend why or why not.
import { html, useState } from '../../lib.js';
import { call } from '../../state/api.js';
import { useNames } from '../../state/names.js';
import { count, span } from '../../text/format.js';
import { heard } from '../../text/problems.js';
import { say, t } from '../../text/text.js';
import { Badge, Button } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { NumberField, SelectField, TextField } from '../../ui/fields.js';
import { Notice } from '../../ui/states.js';

const CLASSES = ['urgent', 'high', 'normal', 'low'];

/** @param {{onClose: () => void}} props */
export function ExplainDialog({ onClose }) {
  const [form, setForm] = useState({ model: '', key: '', class: '', tokens: '' });
  const [answer, setAnswer] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const field = (/** @type {keyof typeof form} */ name) => ({ value: form[name], onChange: (/** @type {string} */ value) => setForm((now) => ({ ...now, [name]: value })) });
  const submit = async () => {
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
  // The API says of this only that it cannot be read.
  const isWhole = /^\d*$/.test(form.tokens);
  const classes = [{ value: '', text: t('Normal') }, ...CLASSES.map((value) => ({ value, text: say(value) }))];
  const foot = html`<${Button} onClick=${onClose}>${t('Close')}<//><${Button} type="submit" kind="primary" busy=${busy} disabled=${!form.model.trim() || !isWhole}>${t('Explain')}<//>`;
  return html`<${Dialog} title=${t('Explain')} about=${t('What would become of a request that came now? Nothing is sent.')} kind="sheet" onClose=${onClose} onSubmit=${submit} foot=${foot}>
    <div class="stack"><div class="form">
      <${TextField} label=${t('Model')} ...${field('model')} list=${useNames('models')} required=${true} autofocus=${true} /><${TextField} label=${t('Key, by name')} ...${field('key')} list=${useNames('keys')} />
      <${SelectField} label=${t('Class')} ...${field('class')} options=${classes} /><${NumberField} label=${t('Tokens')} ...${field('tokens')} wrong=${isWhole ? undefined : t('must be a whole number')} /></div>
      ${problem && html`<${Notice} tone="bad">${problem.errors?.map((/** @type {any} */ one) => heard(one.message)).join('; ') || heard(problem.message)}<//>`}
      ${answer && html`<${Explanation} of=${answer} />`}</div><//>`;
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

/** What bears a name that somebody gave it. */
const NAMED = ['backend', 'pool', 'model', 'native', 'name', 'key', 'team', 'label'];

/** @param {any} value @param {string} [field] @returns {string} */
function plain(value, field = '') {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'number') return field.endsWith('_ms') ? span(value) : count(value);
  if (typeof value === 'boolean') return value ? t('yes') : t('no');
  if (typeof value === 'string') return NAMED.includes(field) ? value : say(value);
  if (Array.isArray(value)) return value.map((one) => plain(one, field)).join(', ') || '–';
  return Object.entries(value).map(([name, inner]) => `${say(name)} ${plain(inner, name)}`).join(', ');
}
