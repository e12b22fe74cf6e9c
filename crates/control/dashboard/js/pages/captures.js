// Captures: whole requests and answers, kept for a while for those who look for a fault; off until a rule says whose.
import { html, useState } from '../lib.js';
import { call, may } from '../state/api.js';
import { useResource } from '../state/resource.js';
import { bytes, when } from '../text/format.js';
import { t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { Confirm, Dialog } from '../ui/dialog.js';
import { SelectField, TextField, sorted } from '../ui/fields.js';
import { PageHead } from '../ui/page.js';
import { Empty, Notice, Shown } from '../ui/states.js';
import { Table } from '../ui/table.js';
import { attempt, tell } from '../ui/toasts.js';

export function Captures() {
  const list = useResource('/admin/captures?limit=200', { everySeconds: 15 });
  const [ruling, setRuling] = useState(false);
  const [open, setOpen] = useState('');
  const [leaving, setLeaving] = useState(/** @type {any} */ (null));
  const value = list.value ?? {};
  const remove = async () => {
    await attempt(() => call('DELETE', `/admin/captures/${encodeURIComponent(leaving.id)}`), t('The capture is deleted'));
    list.reload();
  };
  const columns = [
    { title: t('When'), cell: (/** @type {any} */ one) => html`<button class="name number" onClick=${() => setOpen(one.id)}>${when(one.at)}</button>` },
    { title: t('Request'), cell: (/** @type {any} */ one) => html`<code class="wrap-anywhere">${one.request_id}</code>` },
    { title: t('Model'), cell: (/** @type {any} */ one) => one.model ?? '–' },
    { title: t('Key'), cell: (/** @type {any} */ one) => one.key ?? t('none') },
    { title: t('Status'), cell: (/** @type {any} */ one) => html`<${Badge} tone=${one.status >= 400 ? 'bad' : 'good'}>${one.status ?? '–'}<//>` },
    { title: t('Size'), number: true, cell: (/** @type {any} */ one) => bytes(one.bytes ?? one.size) },
    { title: t('Delete'), tools: true, hidden: !may('admin'), cell: (/** @type {any} */ one) => html`<${Button} kind="small" icon="trash" label=${t('Delete the capture')} onClick=${() => setLeaving(one)} />` },
  ];
  const rules = value.rules ?? [];
  return html`<${PageHead} title=${t('Captures')} about=${t('Whole requests and answers, for those who look for a fault. Nothing is captured until a rule says whose; credentials never are.')}>
      ${may('admin') && list.value && html`<${Button} kind="primary" icon="plus" onClick=${() => setRuling(true)}>${t('Capture something')}<//>`}<//>
    ${rules.length > 0 && html`<${Notice} tone="warn"><strong>${t('Captured now')}</strong><ul>${rules.map((/** @type {any} */ rule, /** @type {number} */ n) => html`<li key=${n}>${rule.key ? t('Key {name}', { name: rule.key }) : t('Model {name}', { name: rule.model })} · ${t('until {when}', { when: when(rule.until) })}</li>`)}</ul><//>`}
    <section class="card"><${Shown} of=${list}>${() => html`<${Table} label=${t('Captures')} rows=${value.captures ?? []} id=${(/** @type {any} */ one) => one.id} columns=${columns} onOpen=${(/** @type {any} */ one) => setOpen(one.id)}
      empty=${html`<${Empty} icon="captures" title=${t('Nothing is captured')}>${t('A rule names a key or a model and an end.')}<//>`} />`}<//></section>
    ${ruling && html`<${RuleEditor} onClose=${() => setRuling(false)} onSaved=${list.reload} />`}
    ${open && html`<${Capture} id=${open} onClose=${() => setOpen('')} />`}
    ${leaving && html`<${Confirm} title=${t('Delete the capture?')} action=${t('Delete')} onYes=${remove} onClose=${() => setLeaving(null)}>${t('Its file is removed. The receipt stays.')}<//>`}`;
}

/** @param {{id: string, onClose: () => void}} props */
function Capture({ id, onClose }) {
  const found = useResource(`/admin/captures/${encodeURIComponent(id)}`);
  const part = (/** @type {string} */ title, /** @type {any} */ content) => content !== undefined && content !== null && html`<section><h3>${title}</h3><pre class="snippet" tabindex="0">${typeof content === 'string' ? content : JSON.stringify(content, null, 2)}</pre></section>`;
  return html`<${Dialog} title=${t('Capture')} about=${html`<code>${id}</code>`} kind="sheet" onClose=${onClose}><${Shown} of=${found}>${(/** @type {any} */ capture) => html`<div class="stack">
    ${part(t('Request headers'), capture.request?.headers ?? capture.request_headers)}${part(t('Request'), capture.request?.body ?? capture.request_body)}
    ${part(t('Answer headers'), capture.response?.headers ?? capture.response_headers)}${part(t('Answer'), capture.response?.body ?? capture.response_body)}</div>`}<//><//>`;
}

/** @param {{onClose: () => void, onSaved: () => void}} props */
function RuleEditor({ onClose, onSaved }) {
  const [form, setForm] = useState({ kind: 'key', who: '', minutes: '15' });
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const { by, others } = sorted(problem, ['key', 'model', 'until']);
  const field = (/** @type {keyof typeof form} */ name) => ({ value: form[name], onChange: (/** @type {string} */ value) => setForm((now) => ({ ...now, [name]: value })) });
  const save = async () => {
    const until = new Date(Date.now() + Number(form.minutes) * 60_000).toISOString();
    try {
      await call('POST', '/admin/captures/rules', { body: { [form.kind]: form.who.trim(), until } });
      tell(t('Captured from now on'));
      onSaved();
      onClose();
    } catch (refused) {
      setProblem(refused);
    }
  };
  const kinds = [{ value: 'key', text: t('A key') }, { value: 'model', text: t('A model') }];
  const spans = [['15', t('15 minutes')], ['60', t('1 hour')], ['1440', t('1 day')]].map(([value, text]) => ({ value, text }));
  const foot = html`<${Button} onClick=${onClose}>${t('Cancel')}<//><${Button} kind="primary" type="submit">${t('Capture')}<//>`;
  return html`<${Dialog} title=${t('Capture something')} kind="box small" onClose=${onClose} onSubmit=${save} foot=${foot}><div class="stack">
    ${others.length > 0 && html`<${Notice} tone="bad">${others.join('; ')}<//>`}
    <${SelectField} label=${t('What of')} ...${field('kind')} options=${kinds} /><${TextField} label=${t('Its name')} ...${field('who')} wrong=${by.key ?? by.model} />
    <${SelectField} label=${t('For')} ...${field('minutes')} options=${spans} wrong=${by.until} />
    <${Notice} tone="warn">${t('Prompts and answers of people are written to the disk. Tell them, or use a key of your own.')}<//></div><//>`;
}
