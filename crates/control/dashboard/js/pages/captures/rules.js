// What is captured now, and the form that says what else; each rule has an end.
import { html } from '../../lib.js';
import { call, may } from '../../state/api.js';
import { useNames } from '../../state/names.js';
import { when } from '../../text/format.js';
import { t } from '../../text/text.js';
import { Button } from '../../ui/controls.js';
import { Editor, useForm } from '../../ui/editor.js';
import { SelectField, TextField } from '../../ui/fields.js';
import { Notice } from '../../ui/states.js';
import { attempt } from '../../ui/toasts.js';

/** @param {{rules: any[], onChanged: () => void}} props */
export function Rules({ rules, onChanged }) {
  if (rules.length === 0) return null;
  const end = async (/** @type {any} */ rule) => {
    await attempt(() => call('DELETE', `/admin/captures/rules/${encodeURIComponent(rule.id)}`), t('Nothing more is captured by it'));
    onChanged();
  };
  return html`<${Notice} tone="warn"><strong>${t('Captured now')}</strong><ul class="plain-list">${rules.map((rule) => html`<li key=${rule.id} class="row apart"><span class="wrap-anywhere">${whose(rule)} · ${t('until {when}', { when: when(rule.until) })}</span>
    ${may('admin') && html`<${Button} kind="small" onClick=${() => end(rule)}>${t('End now')}<//>`}</li>`)}</ul><//>`;
}

/** @param {any} rule */
function whose(rule) {
  const parts = [rule.key && t('Key {name}', { name: rule.key }), rule.model && t('Model {name}', { name: rule.model })].filter(Boolean);
  return parts.length ? parts.join(', ') : t('Every request');
}

/** @param {{onClose: () => void, onSaved: () => void}} props */
export function RuleEditor({ onClose, onSaved }) {
  const of = useForm(() => ({ kind: 'key', who: '', lasts: '10m' }), ['key', 'model', 'lasts'], () => {
    onSaved();
    onClose();
  });
  const { field, form } = of;
  const [keys, models] = [useNames('keys', form.kind === 'key'), useNames('models', form.kind === 'model')];
  const save = () => of.send(() => call('POST', '/admin/captures/rules', { body: { ...(form.kind !== 'all' && { [form.kind]: form.who.trim() }), lasts: form.lasts } }), t('Captured from now on'));
  const kinds = [{ value: 'key', text: t('A key') }, { value: 'model', text: t('A model') }, { value: 'all', text: t('Every request') }];
  const spans = [['10m', t('10 minutes')], ['1h', t('1 hour')], ['1d', t('1 day')], ['7d', t('7 days')]].map(([value, text]) => ({ value, text }));
  return html`<${Editor} of=${of} title=${t('Capture something')} kind="box small" action=${t('Capture')} onSubmit=${save} onClose=${onClose}>
    <${SelectField} label=${t('What of')} ...${field('kind')} options=${kinds} />
    ${form.kind !== 'all' && html`<${TextField} label=${t('Its name')} ...${field('who', form.kind)} list=${form.kind === 'key' ? keys : models} />`}
    <${SelectField} label=${t('For')} ...${field('lasts')} options=${spans} />
    <${Notice} tone="warn">${t('Prompts and answers of people are written to the disk, sealed. Tell them, or use a key of your own.')}<//><//>`;
}
