// The forms of teams and budgets.
import { html, useState } from '../../lib.js';
import { call } from '../../state/api.js';
import { t } from '../../text/text.js';
import { Button } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { NumberField, SelectField, TextField, listed, numeric, sorted } from '../../ui/fields.js';
import { Notice } from '../../ui/states.js';
import { attempt, tell } from '../../ui/toasts.js';

/**
 * A small form over one resource: what it sends is what `meant` says, what was not changed is not sent.
 * @param {{title: string, at: string, entry: any, form: any, meant: (form: any) => any, fields: string[], name: string,
 *   onClose: () => void, onSaved: () => void, children: (field: (name: string) => any) => any}} props
 */
function Editor({ title, at, entry, form: first, meant, fields, name, onClose, onSaved, children }) {
  const isNew = !entry.id;
  const own = `${at}/${encodeURIComponent(entry.id ?? '')}`;
  const [form, setForm] = useState(first);
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const { by, others } = sorted(problem, fields);
  const field = (/** @type {string} */ key) => ({ value: form[key], wrong: by[key], onChange: (/** @type {any} */ value) => setForm((/** @type {any} */ now) => ({ ...now, [key]: value })) });
  const done = (/** @type {string} */ text) => {
    tell(text);
    onSaved();
    onClose();
  };
  const save = async () => {
    setBusy(true);
    const [now, was] = [meant(form), meant(first)];
    const body = Object.fromEntries(Object.entries(now).filter(([key, value]) => (isNew ? value !== null : JSON.stringify(value) !== JSON.stringify(was[key]))));
    try {
      if (isNew) await call('POST', at, { body });
      else await call('PATCH', own, { body, revision: entry.revision });
      done(t('{name} is saved', { name: form.name || name }));
    } catch (refused) {
      setProblem(refused);
      setBusy(false);
    }
  };
  const remove = async () => {
    const gone = await attempt(() => call('DELETE', own, { revision: entry.revision }).then(() => true));
    if (gone) done(t('{name} is deleted', { name: form.name || name }));
  };
  const foot = html`${!isNew && html`<${Button} kind="danger plain first" icon="trash" onClick=${remove}>${t('Delete')}<//>`}<${Button} onClick=${onClose}>${t('Cancel')}<//>
    <${Button} kind="primary" type="submit" busy=${busy}>${t('Save')}<//>`;
  return html`<${Dialog} title=${title} onClose=${onClose} onSubmit=${save} foot=${foot}><div class="form">
    ${others.length > 0 && html`<${Notice} tone="bad"><ul>${others.map((text) => html`<li key=${text}>${text}</li>`)}</ul><//>`}${children(field)}</div><//>`;
}

/** @param {{team: any, onClose: () => void, onSaved: () => void}} props */
export function TeamEditor({ team, onClose, onSaved }) {
  const form = { name: team.name ?? '', rpm: team.rpm ?? '', tpm: team.tpm ?? '', concurrency: team.concurrency ?? '', models: (team.models ?? []).join(', ') };
  const meant = (/** @type {any} */ now) => ({ name: now.name.trim() || null, rpm: numeric(now.rpm), tpm: numeric(now.tpm), concurrency: numeric(now.concurrency), models: listed(now.models).length ? listed(now.models) : null });
  const title = team.id ? t('Edit {name}', { name: team.name }) : t('Create team');
  return html`<${Editor} ...${{ title, entry: team, form, meant, onClose, onSaved }} at="/admin/teams" name=${t('The team')} fields=${Object.keys(form)}>${(/** @type {any} */ field) => html`
    <${TextField} wide=${true} label=${t('Name')} ...${field('name')} placeholder="apps" />
    <${NumberField} label=${t('Requests a minute')} ...${field('rpm')} hint=${t('Empty: no limit.')} /><${NumberField} label=${t('Tokens a minute')} ...${field('tpm')} hint=${t('Empty: no limit.')} />
    <${NumberField} label=${t('At once')} ...${field('concurrency')} hint=${t('Empty: no limit.')} /><${TextField} label=${t('Models')} ...${field('models')} hint=${t('Empty: all.')} />`}<//>`;
}

/** @param {{budget: any, onClose: () => void, onSaved: () => void}} props */
export function BudgetEditor({ budget, onClose, onSaved }) {
  const kind = budget.team ? 'team' : budget.key ? 'key' : budget.id ? 'gateway' : 'key';
  const form = { kind, who: budget.team ?? budget.key ?? '', amount: budget.amount ?? '', per: budget.per ?? 'month' };
  const meant = (/** @type {any} */ now) => ({ amount: String(now.amount).trim() || null, per: now.per, key: now.kind === 'key' ? now.who.trim() || null : null, team: now.kind === 'team' ? now.who.trim() || null : null });
  const kinds = [['key', t('A key')], ['team', t('A team')], ['gateway', t('The whole gateway')]].map(([value, text]) => ({ value, text }));
  const periods = [['hour', t('an hour')], ['day', t('a day')], ['week', t('a week')], ['month', t('a month')], ['total', t('in all')]].map(([value, text]) => ({ value, text }));
  return html`<${Editor} ...${{ entry: budget, form, meant, onClose, onSaved }} title=${budget.id ? t('Edit budget') : t('Create budget')} at="/admin/budgets" name=${t('The budget')} fields=${['amount', 'per', 'key', 'team']}>${(/** @type {any} */ field) => html`
    <${SelectField} label=${t('Of')} ...${field('kind')} options=${kinds} />
    ${field('kind').value !== 'gateway' && html`<${TextField} label=${t('Its name')} ...${field('who')} wrong=${field(field('kind').value).wrong} />`}
    <${NumberField} label=${t('Amount')} ...${field('amount')} unit="USD" /><${SelectField} label=${t('Per')} ...${field('per')} options=${periods} />`}<//>`;
}
