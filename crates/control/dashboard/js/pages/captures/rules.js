// What is captured now, and the form that says what else; each rule has an end.
import { html, useState } from '../../lib.js';
import { call, may } from '../../state/api.js';
import { useResource } from '../../state/resource.js';
import { when } from '../../text/format.js';
import { t } from '../../text/text.js';
import { Button } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { SelectField, TextField, sorted } from '../../ui/fields.js';
import { Notice } from '../../ui/states.js';
import { attempt, tell } from '../../ui/toasts.js';

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
  const [form, setForm] = useState({ kind: 'key', who: '', lasts: '10m' });
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const list = useResource(form.kind === 'all' ? null : form.kind === 'key' ? '/admin/keys' : '/admin/models', { whole: true });
  const known = (form.kind === 'key' ? list.value?.keys : list.value?.models) ?? [];
  const { by, others } = sorted(problem, ['key', 'model', 'lasts']);
  const field = (/** @type {keyof typeof form} */ name) => ({ value: form[name], onChange: (/** @type {string} */ value) => setForm((now) => ({ ...now, [name]: value })) });
  const save = async () => {
    setBusy(true);
    const who = form.kind === 'all' ? {} : { [form.kind]: form.who.trim() };
    try {
      await call('POST', '/admin/captures/rules', { body: { ...who, lasts: form.lasts } });
      tell(t('Captured from now on'));
      onSaved();
      onClose();
    } catch (refused) {
      setProblem(refused);
      setBusy(false);
    }
  };
  const kinds = [{ value: 'key', text: t('A key') }, { value: 'model', text: t('A model') }, { value: 'all', text: t('Every request') }];
  const spans = [['10m', t('10 minutes')], ['1h', t('1 hour')], ['1d', t('1 day')], ['7d', t('7 days')]].map(([value, text]) => ({ value, text }));
  const foot = html`<${Button} onClick=${onClose}>${t('Cancel')}<//><${Button} kind="primary" type="submit" busy=${busy}>${t('Capture')}<//>`;
  return html`<${Dialog} title=${t('Capture something')} kind="box small" onClose=${onClose} onSubmit=${save} foot=${foot}><div class="stack">
    ${others.length > 0 && html`<${Notice} tone="bad">${others.join('; ')}<//>`}
    <${SelectField} label=${t('What of')} ...${field('kind')} options=${kinds} />
    ${form.kind !== 'all' && html`<${TextField} label=${t('Its name')} ...${field('who')} wrong=${by.key ?? by.model} list=${known.map((/** @type {any} */ one) => one.name)} />`}
    <${SelectField} label=${t('For')} ...${field('lasts')} options=${spans} wrong=${by.lasts} />
    <${Notice} tone="warn">${t('Prompts and answers of people are written to the disk, sealed. Tell them, or use a key of your own.')}<//></div><//>`;
}
