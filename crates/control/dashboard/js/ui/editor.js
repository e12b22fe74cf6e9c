// A form over one thing: what was typed, what the gateway found wrong with it, and its dialog; what it sends is the page's business.
import { html, useEffect, useState } from '../lib.js';
import { t } from '../text/text.js';
import { Button } from './controls.js';
import { Confirm, Dialog } from './dialog.js';
import { sorted } from './fields.js';
import { Notice } from './states.js';
import { attempt, tell } from './toasts.js';

/**
 * @param {() => any} first What stands in the fields. @param {string[]} fields As the API names them where it finds one wrong.
 * @param {() => void} onDone After what was sent was taken.
 */
export function useForm(first, fields, onDone) {
  const [before] = useState(first);
  const [form, setForm] = useState(before);
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const { by, others } = sorted(problem, fields);
  const put = (/** @type {any} */ changes) => setForm((/** @type {any} */ now) => ({ ...now, ...changes }));
  return {
    form,
    before,
    by,
    others,
    busy,
    put,
    field: (/** @type {string} */ name, path = name) => ({ value: form[name], wrong: by[path], onChange: (/** @type {any} */ value) => put({ [name]: value }) }),
    /** @param {() => Promise<any>} work @param {string} [said] */
    send: async (work, said) => {
      setBusy(true);
      try {
        await work();
      } catch (refused) {
        setProblem(refused);
        setBusy(false);
        return;
      }
      if (said) tell(said);
      onDone();
    },
  };
}

/** The fields whose values are others than before; for what is new, those that say something. @param {any} now @param {any} was @param {boolean} isNew */
export function changed(now, was, isNew) {
  const says = (/** @type {any} */ value) => value !== null && (typeof value !== 'object' || Object.keys(value).length > 0);
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => (isNew ? says(value) : JSON.stringify(value) !== JSON.stringify(was[name]))));
}

/**
 * @param {{of: ReturnType<typeof useForm>, title: string, about?: any, kind?: string, action?: string, name?: string, asks?: string,
 *   onSubmit: () => void, onDelete?: () => Promise<any>, onDone?: () => void, onClose: () => void, children?: any}} props
 * `onDelete` is asked about first, by `name` or as `asks` says; `onDone` follows it.
 */
export function Editor({ of, title, about, kind = 'sheet', action = t('Save'), name = '', asks = t('Delete {name}?', { name }), onSubmit, onDelete, onDone, onClose, children }) {
  const [leaving, setLeaving] = useState(false);
  const wrong = Object.keys(of.by).join();
  useEffect(() => {
    if (wrong) /** @type {HTMLElement | null} */ (document.querySelector('dialog[open] [aria-invalid="true"]'))?.focus();
  }, [wrong]);
  const remove = async () => {
    if (await attempt(() => /** @type {any} */ (onDelete)().then(() => true), t('{name} is deleted', { name }))) onDone?.();
  };
  const foot = html`${onDelete && html`<${Button} kind="danger plain first" icon="trash" onClick=${() => setLeaving(true)}>${t('Delete')}<//>`}
    <${Button} onClick=${onClose}>${t('Cancel')}<//><${Button} kind="primary" type="submit" busy=${of.busy}>${action}<//>`;
  return html`<${Dialog} title=${title} about=${about} kind=${kind} onClose=${onClose} onSubmit=${onSubmit} foot=${foot}><div class=${kind === 'box small' ? 'stack' : 'form'}>
      ${of.others.length > 0 && html`<${Notice} tone="bad">${of.others.length > 1 ? html`<ul>${of.others.map((text) => html`<li key=${text}>${text}</li>`)}</ul>` : of.others[0]}<//>`}${children}</div><//>
    ${leaving && html`<${Confirm} title=${asks} action=${t('Delete')} onYes=${remove} onClose=${() => setLeaving(false)}>${t('This cannot be taken back.')}<//>`}`;
}
