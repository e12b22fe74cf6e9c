// The form of a key; for a new one the gateway makes the secret.
import { html, useState } from '../../lib.js';
import { call } from '../../state/api.js';
import { say, t } from '../../text/text.js';
import { Button } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { CheckField, MomentField, NumberField, PairLines, SelectField, SomeField, TextField, entriesOf, listed, numeric, pairsOf, sorted } from '../../ui/fields.js';
import { Notice } from '../../ui/states.js';
import { tell } from '../../ui/toasts.js';

const FIELDS = ['name', 'team', 'rpm', 'tpm', 'concurrency', 'models', 'ip_allow', 'priority_max', 'weight', 'default_model', 'expires', 'strict', 'endpoints', 'metadata', 'note'];
const ENDPOINTS = ['chat', 'completions', 'embeddings', 'responses', 'messages', 'gemini', 'images', 'audio', 'moderations', 'rerank', 'files', 'batches'];

/** @param {any} key */
function formOf(key) {
  return {
    name: key.name ?? '', team: key.team ?? '', rpm: key.rpm ?? '', tpm: key.tpm ?? '', concurrency: key.concurrency ?? '',
    models: (key.models ?? []).join(', '), ip_allow: (key.ip_allow ?? []).join(', '), priority_max: key.priority_max ?? 'high',
    weight: key.weight ?? 1, default_model: key.default_model ?? '', expires: key.expires ?? '', strict: key.strict ?? false,
    endpoints: key.endpoints ?? [], metadata: pairsOf(key.metadata), note: key.note ?? '',
  };
}

/** @param {any} form @param {any} key */
function meant(form, key) {
  const text = (/** @type {string} */ value) => value.trim() || null;
  const many = (/** @type {string} */ value) => (listed(value).length ? listed(value) : null);
  return {
    name: text(form.name), team: text(form.team), rpm: numeric(form.rpm), tpm: numeric(form.tpm), concurrency: numeric(form.concurrency),
    models: many(form.models), ip_allow: many(form.ip_allow), priority_max: form.priority_max, weight: numeric(form.weight),
    default_model: text(form.default_model), expires: form.expires || null, strict: form.strict,
    endpoints: form.endpoints.length ? form.endpoints : null, metadata: entriesOf(form.metadata, key.metadata), note: text(form.note),
  };
}

/** Whether there is anything to say of a new one. @param {any} value */
const says = (value) => value !== null && (typeof value !== 'object' || Object.keys(value).length > 0);

/** @param {{entry: any, teams: string[], onClose: () => void, onSaved: () => void, onGiven: (key: any) => void}} props */
export function KeyEditor({ entry, teams, onClose, onSaved, onGiven }) {
  const isNew = !entry.id;
  const [before] = useState(() => formOf(entry));
  const [form, setForm] = useState(before);
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const { by, others } = sorted(problem, FIELDS);
  const field = (/** @type {string} */ name) => ({ value: /** @type {any} */ (form)[name], wrong: by[name], onChange: (/** @type {any} */ value) => setForm((now) => ({ ...now, [name]: value })) });
  const save = async () => {
    setBusy(true);
    const [now, was] = [meant(form, entry), meant(before, entry)];
    const changed = Object.entries(now).filter(([name, value]) => (isNew ? says(value) : JSON.stringify(value) !== JSON.stringify(/** @type {any} */ (was)[name])));
    try {
      if (isNew) onGiven(await call('POST', '/admin/keys', { body: Object.fromEntries(changed) }));
      else if (changed.length) await call('PATCH', `/admin/keys/${encodeURIComponent(entry.id)}`, { body: Object.fromEntries(changed), revision: entry.revision });
      if (!isNew) tell(t('{name} is saved', { name: form.name }));
      onSaved();
      onClose();
    } catch (refused) {
      setProblem(refused);
      setBusy(false);
    }
  };
  const classes = ['urgent', 'high', 'normal', 'low'].map((value) => ({ value, text: say(value) }));
  const foot = html`<${Button} onClick=${onClose}>${t('Cancel')}<//><${Button} kind="primary" type="submit" busy=${busy}>${isNew ? t('Create key') : t('Save')}<//>`;
  return html`<${Dialog} title=${isNew ? t('Create key') : t('Edit {name}', { name: entry.name })} kind="sheet" onClose=${onClose} onSubmit=${save} foot=${foot}><div class="form">
    ${others.length > 0 && html`<${Notice} tone="bad"><ul>${others.map((text) => html`<li key=${text}>${text}</li>`)}</ul><//>`}
    <${TextField} label=${t('Name')} ...${field('name')} placeholder="mobile-app" required=${true} />
    <${TextField} label=${t('Team')} ...${field('team')} list=${teams} />
    <fieldset><legend>${t('Limits')}</legend><div class="inner">
      <${NumberField} label=${t('Requests a minute')} ...${field('rpm')} hint=${t('Empty: no limit.')} /><${NumberField} label=${t('Tokens a minute')} ...${field('tpm')} hint=${t('Empty: no limit.')} />
      <${NumberField} label=${t('At once')} ...${field('concurrency')} hint=${t('Empty: no limit.')} /><${NumberField} label=${t('Share')} ...${field('weight')} min=${1} hint=${t('Against other keys, when there is a queue.')} />
    </div></fieldset>
    <fieldset><legend>${t('What it may')}</legend><div class="inner">
      <${TextField} wide=${true} label=${t('Models')} ...${field('models')} placeholder="demo/*, gpt-4o" hint=${t('A comma between two; * stands for anything. Empty: all.')} />
      <${TextField} wide=${true} label=${t('Addresses')} ...${field('ip_allow')} placeholder="10.0.0.0/8" hint=${t('It may be used from these only. Empty: any.')} />
      <${SelectField} label=${t('Best class')} ...${field('priority_max')} options=${classes} /><${TextField} label=${t('Default model')} ...${field('default_model')} />
      <${MomentField} label=${t('Expires')} ...${field('expires')} hint=${t('Empty: never.')} />
      <${CheckField} label=${t('Strict')} value=${form.strict} onChange=${(/** @type {boolean} */ strict) => setForm((now) => ({ ...now, strict }))} hint=${t('Refuse what a dialect cannot carry.')} />
      <${SomeField} legend=${t('Endpoints')} ...${field('endpoints')} options=${ENDPOINTS} hint=${t('None of them: all.')} />
    </div></fieldset>
    <fieldset><legend>${t('Tags')}</legend><p class="hint">${t('Each of its receipts bears them; usage can be split by them.')}</p>
      <${PairLines} pairs=${form.metadata} wrong=${by.metadata} onChange=${(/** @type {any} */ metadata) => setForm((now) => ({ ...now, metadata }))} /></fieldset>
    <${TextField} wide=${true} label=${t('Note')} ...${field('note')} hint=${t('What people should remember of it.')} /></div><//>`;
}
