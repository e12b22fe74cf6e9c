// The form of a backend. A masked credential is shown as a hint only: what was not typed is not sent.
import { html } from '../../lib.js';
import { call } from '../../state/api.js';
import { t } from '../../text/text.js';
import { Editor, useForm } from '../../ui/editor.js';
import { CheckField, NumberField, SelectField, TextField, listed, numeric } from '../../ui/fields.js';
import { ModelLines, linesOf, modelsOf } from './lines.js';

const KINDS = [
  'openai_compatible', 'openai', 'anthropic', 'gemini', 'azure', 'nvidia', 'openrouter', 'deepseek', 'groq', 'mistral', 'together',
  'fireworks', 'cerebras', 'xai', 'deepinfra', 'sambanova', 'moonshot', 'zhipu', 'zai', 'minimax', 'dashscope', 'siliconflow',
  'hyperbolic', 'nebius', 'ollama', 'vllm', 'lmstudio', 'llama_cpp',
];
const NEEDS_ADDRESS = ['openai_compatible', 'azure'];
const FIELDS = ['name', 'kind', 'base_url', 'api_key', 'pool', 'weight', 'limits.rpm', 'limits.tpm', 'limits.concurrency', 'deadlines.connect',
  'deadlines.first_event', 'deadlines.answer', 'deadlines.idle', 'deadlines.total', 'health_path', 'label', 'models', 'headers.allow', 'headers.deny'];

/** @param {any} backend */
function formOf(backend) {
  const { limits = {}, deadlines = {}, headers = {} } = backend;
  return {
    name: backend.name ?? '', kind: backend.kind ?? 'openai_compatible', base_url: backend.base_url ?? '', api_key: '', label: backend.label ?? '',
    pool: backend.pool ?? 'primary', weight: backend.weight ?? 1, rpm: limits.rpm ?? '', tpm: limits.tpm ?? '', concurrency: limits.concurrency ?? '',
    connect: deadlines.connect ?? '', first_event: deadlines.first_event ?? '', answer: deadlines.answer ?? '', idle: deadlines.idle ?? '', total: deadlines.total ?? '',
    allow: (headers.allow ?? []).join(', '), deny: (headers.deny ?? []).join(', '), health_path: backend.health_path ?? '', drain_on_disconnect: backend.drain_on_disconnect ?? false, enabled: backend.enabled ?? true,
    listed: backend.models === undefined || backend.models === null, models: linesOf(backend.models),
  };
}

/** What is sent: everything for a new one, what was changed for one that exists. @param {any} form @param {any} before @param {any} backend */
function bodyOf(form, before, backend) {
  const text = (/** @type {string} */ value) => value.trim() || null;
  const number = (/** @type {any} */ value) => numeric(value);
  const isNew = !backend.id;
  /** @type {any} */
  const body = {};
  const put = (/** @type {string[]} */ path, /** @type {string} */ field, /** @type {any} */ value) => {
    if (isNew ? value === null : form[field] === before[field]) return;
    const [first = '', second] = path;
    if (second) body[first] = { ...body[first], [second]: value };
    else body[first] = value;
  };
  for (const field of ['name', 'kind', 'base_url', 'pool', 'label', 'health_path']) put([field], field, text(form[field]));
  put(['weight'], 'weight', number(form.weight));
  for (const field of ['rpm', 'tpm', 'concurrency']) put(['limits', field], field, number(form[field]));
  for (const field of ['connect', 'first_event', 'answer', 'idle', 'total']) put(['deadlines', field], field, text(form[field]));
  for (const field of ['allow', 'deny']) put(['headers', field], field, listed(form[field]).length ? listed(form[field]) : null);
  for (const field of ['drain_on_disconnect', 'enabled']) if (form[field] !== before[field] || (isNew && field === 'enabled')) body[field] = form[field];
  if (form.api_key.trim()) body.api_key = form.api_key.trim();
  const models = form.listed ? null : modelsOf(form.models, isNew ? {} : (backend.models ?? {}));
  const unchanged = form.listed === before.listed && JSON.stringify(form.models) === JSON.stringify(before.models);
  if (isNew ? models !== null : !unchanged) body.models = models;
  return body;
}

/** @param {{backend: any, pools: string[], onClose: () => void, onSaved: () => void}} props */
export function BackendEditor({ backend, pools, onClose, onSaved }) {
  const isNew = !backend.id;
  const of = useForm(() => formOf(backend), FIELDS, () => {
    onSaved();
    onClose();
  });
  const { by, field, form, put } = of;
  const save = () => {
    const [body, name] = [bodyOf(form, of.before, backend), form.name.trim()];
    if (isNew) of.send(() => call('POST', '/admin/backends', { body }), t('{name} is added', { name }));
    else of.send(async () => Object.keys(body).length && call('PATCH', `/admin/backends/${encodeURIComponent(backend.id)}`, { body, revision: backend.revision }), t('{name} is saved', { name }));
  };
  const kinds = KINDS.includes(form.kind) ? KINDS : [form.kind, ...KINDS];
  return html`<${Editor} of=${of} title=${isNew ? t('Add backend') : t('Edit {name}', { name: backend.name })} action=${isNew ? t('Add backend') : t('Save')} onSubmit=${save} onClose=${onClose}>
      <${TextField} label=${t('Name')} ...${field('name')} placeholder="nvidia-a" required=${true} />
      <${SelectField} label=${t('Kind')} ...${field('kind')} options=${kinds.map((kind) => ({ value: kind, text: kind }))} />
      <${TextField} wide=${true} label=${t('Address')} ...${field('base_url')} placeholder="https://api.example.com/v1" hint=${NEEDS_ADDRESS.includes(form.kind) ? t('With the path of the version.') : t("Left empty: the provider's own.")} />
      <${TextField} wide=${true} label=${t('Credential')} type="password" ...${field('api_key')} autocomplete="new-password" placeholder=${backend.api_key ?? ''}
        hint=${backend.api_key ? t('Left empty: the present one stays. It is stored encrypted.') : t('It is stored encrypted and never shown again.')} />
      <${TextField} label=${t('Pool')} ...${field('pool')} list=${pools} hint=${t('The primary pool is used first, then fallback.')} />
      <${NumberField} label=${t('Weight')} ...${field('weight')} min=${1} />
      <fieldset><legend>${t('Limits')}</legend><div class="inner">
        <${NumberField} label=${t('Requests a minute')} ...${field('rpm', 'limits.rpm')} hint=${t('0: no limit. Empty: 40, or none on this machine.')} />
        <${NumberField} label=${t('Tokens a minute')} ...${field('tpm', 'limits.tpm')} hint=${t('Empty: no limit.')} />
        <${NumberField} label=${t('At once')} ...${field('concurrency', 'limits.concurrency')} hint=${t('Empty: no limit.')} />
      </div></fieldset>
      <fieldset><legend>${t('Models')}</legend>
        <${CheckField} label=${t('Serve what its own list says')} value=${form.listed} onChange=${(/** @type {boolean} */ listed) => put({ listed })} />
        ${!form.listed && html`<${ModelLines} lines=${form.models} wrong=${by.models} onChange=${(/** @type {any} */ models) => put({ models })} />`}</fieldset>
      <fieldset><legend>${t('Deadlines')}</legend><div class="inner">
        <${TextField} label=${t('To a connection')} ...${field('connect', 'deadlines.connect')} placeholder="5s" />
        <${TextField} label=${t('To the first event')} ...${field('first_event', 'deadlines.first_event')} placeholder="2m" />
        <${TextField} label=${t('To a plain answer')} ...${field('answer', 'deadlines.answer')} placeholder="4m" />
        <${TextField} label=${t('Between events')} ...${field('idle', 'deadlines.idle')} placeholder="2m" />
        <${TextField} label=${t('The whole call')} ...${field('total', 'deadlines.total')} placeholder="10m" />
      </div></fieldset>
      <fieldset><legend>${t('Headers of requests')}</legend><div class="inner">
        <${TextField} label=${t('Also let through')} ...${field('allow', 'headers.allow')} placeholder="x-team-*" hint=${t('Beyond the gateway\'s own rule; a comma between two, * at the end for any.')} />
        <${TextField} label=${t('Keep back')} ...${field('deny', 'headers.deny')} placeholder="anthropic-beta" hint=${t('Though the gateway\'s own rule lets them through.')} />
      </div></fieldset>
      <fieldset><legend>${t('More')}</legend><div class="inner">
        <${TextField} label=${t('Label')} ...${field('label')} hint=${t('Its provider tag, also a prefix for models.')} />
        <${TextField} label=${t('Health path')} ...${field('health_path')} placeholder="models" />
        <${CheckField} label=${t('Enabled')} value=${form.enabled} onChange=${(/** @type {boolean} */ enabled) => put({ enabled })} />
        <${CheckField} label=${t('Read abandoned answers to their usage')} value=${form.drain_on_disconnect} onChange=${(/** @type {boolean} */ value) => put({ drain_on_disconnect: value })} />
      </div></fieldset>
    <//>`;
}
