// The forms of teams and budgets.
import { html } from '../../lib.js';
import { call } from '../../state/api.js';
import { useNames } from '../../state/names.js';
import { t } from '../../text/text.js';
import { Editor, changed, useForm } from '../../ui/editor.js';
import { NumberField, SelectField, TextField, listed, numeric } from '../../ui/fields.js';

/**
 * The form of one of these, over the address of its like.
 * @param {string} at @param {any} entry @param {() => any} first @param {(form: any) => any} meant What is sent; what was not changed is not.
 * @param {string[]} fields @param {{onClose: () => void, onSaved: () => void}} then
 */
function useEntry(at, entry, first, meant, fields, { onClose, onSaved }) {
  const done = () => {
    onSaved();
    onClose();
  };
  const of = useForm(first, fields, done);
  const own = `${at}/${encodeURIComponent(entry.id ?? '')}`;
  const save = (/** @type {string} */ name) => {
    const body = changed(meant(of.form), meant(of.before), !entry.id);
    of.send(() => (entry.id ? call('PATCH', own, { body, revision: entry.revision }) : call('POST', at, { body })), t('{name} is saved', { name }));
  };
  const remove = entry.id && (() => call('DELETE', own, { revision: entry.revision }));
  return { of, save, common: { of, kind: 'box', onDelete: remove, onDone: done, onClose } };
}

/** @param {{team: any, onClose: () => void, onSaved: () => void}} props */
export function TeamEditor({ team, ...then }) {
  const first = () => ({ name: team.name ?? '', rpm: team.rpm ?? '', tpm: team.tpm ?? '', concurrency: team.concurrency ?? '', models: (team.models ?? []).join(', ') });
  const meant = (/** @type {any} */ now) => ({ name: now.name.trim() || null, rpm: numeric(now.rpm), tpm: numeric(now.tpm), concurrency: numeric(now.concurrency), models: listed(now.models).length ? listed(now.models) : null });
  const { of, save, common } = useEntry('/admin/teams', team, first, meant, Object.keys(first()), then);
  const { field } = of;
  return html`<${Editor} ...${common} title=${team.id ? t('Edit {name}', { name: team.name }) : t('Create team')} name=${team.name} onSubmit=${() => save(of.form.name)}>
    <${TextField} wide=${true} label=${t('Name')} ...${field('name')} placeholder="apps" />
    <${NumberField} label=${t('Requests a minute')} ...${field('rpm')} hint=${t('Empty: no limit.')} /><${NumberField} label=${t('Tokens a minute')} ...${field('tpm')} hint=${t('Empty: no limit.')} />
    <${NumberField} label=${t('At once')} ...${field('concurrency')} hint=${t('Empty: no limit.')} /><${TextField} label=${t('Models')} ...${field('models')} hint=${t('Empty: all.')} /><//>`;
}

/** @param {{budget: any, onClose: () => void, onSaved: () => void}} props */
export function BudgetEditor({ budget, ...then }) {
  const kind = budget.team ? 'team' : budget.key ? 'key' : budget.id ? 'gateway' : 'key';
  const first = () => ({ kind, who: budget.team ?? budget.key ?? '', amount: budget.amount ?? '', per: budget.per ?? 'month' });
  const meant = (/** @type {any} */ now) => ({ amount: String(now.amount).trim() || null, per: now.per, key: now.kind === 'key' ? now.who.trim() || null : null, team: now.kind === 'team' ? now.who.trim() || null : null });
  const { of, save, common } = useEntry('/admin/budgets', budget, first, meant, ['amount', 'per', 'key', 'team'], then);
  const { field, form } = of;
  const [keys, teams] = [useNames('keys', form.kind === 'key'), useNames('teams', form.kind === 'team')];
  const kinds = [['key', t('A key')], ['team', t('A team')], ['gateway', t('The whole gateway')]].map(([value, text]) => ({ value, text }));
  const periods = [['hour', t('an hour')], ['day', t('a day')], ['week', t('a week')], ['month', t('a month')], ['total', t('in all')]].map(([value, text]) => ({ value, text }));
  return html`<${Editor} ...${common} title=${budget.id ? t('Edit budget') : t('Create budget')} name=${t('The budget')} asks=${t('Delete the budget?')} onSubmit=${() => save(t('The budget'))}>
    <${SelectField} label=${t('Of')} ...${field('kind')} options=${kinds} />
    ${form.kind !== 'gateway' && html`<${TextField} label=${t('Its name')} ...${field('who', form.kind)} list=${form.kind === 'key' ? keys : teams} />`}
    <${NumberField} label=${t('Amount')} ...${field('amount')} unit="USD" /><${SelectField} label=${t('Per')} ...${field('per')} options=${periods} /><//>`;
}
