// The form of a key; for a new one the gateway makes the secret.
import { html } from '../../lib.js';
import { call } from '../../state/api.js';
import { say, t } from '../../text/text.js';
import { Editor, changed, useForm } from '../../ui/editor.js';
import { CheckField, MomentField, NumberField, PairLines, SelectField, SomeField, TextField, entriesOf, listed, numeric, pairsOf } from '../../ui/fields.js';

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

/** @param {{entry: any, teams: string[], onClose: () => void, onSaved: () => void, onGiven: (key: any) => void}} props */
export function KeyEditor({ entry, teams, onClose, onSaved, onGiven }) {
  const isNew = !entry.id;
  const of = useForm(() => formOf(entry), FIELDS, () => {
    onSaved();
    onClose();
  });
  const { by, field, form, put } = of;
  const save = () => {
    const body = changed(meant(form, entry), meant(of.before, entry), isNew);
    if (isNew) of.send(async () => onGiven(await call('POST', '/admin/keys', { body })));
    else of.send(async () => Object.keys(body).length && call('PATCH', `/admin/keys/${encodeURIComponent(entry.id)}`, { body, revision: entry.revision }), t('{name} is saved', { name: form.name }));
  };
  const classes = ['urgent', 'high', 'normal', 'low'].map((value) => ({ value, text: say(value) }));
  return html`<${Editor} of=${of} title=${isNew ? t('Create key') : t('Edit {name}', { name: entry.name })} action=${isNew ? t('Create key') : t('Save')} onSubmit=${save} onClose=${onClose}>
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
      <${CheckField} label=${t('Strict')} value=${form.strict} onChange=${(/** @type {boolean} */ strict) => put({ strict })} hint=${t('Refuse what a dialect cannot carry.')} />
      <${SomeField} legend=${t('Endpoints')} ...${field('endpoints')} options=${ENDPOINTS} hint=${t('None of them: all.')} />
    </div></fieldset>
    <fieldset><legend>${t('Tags')}</legend><p class="hint">${t('Each of its receipts bears them; usage can be split by them.')}</p>
      <${PairLines} pairs=${form.metadata} wrong=${by.metadata} onChange=${(/** @type {any} */ metadata) => put({ metadata })} /></fieldset>
    <${TextField} wide=${true} label=${t('Note')} ...${field('note')} hint=${t('What people should remember of it.')} /><//>`;
}
