// Dialogs on the browser's own `dialog`: focus stays inside, Escape closes, what was focused is focused again.
import { html, useId, useLayoutEffect, useRef, useState } from '../lib.js';
import { t } from '../text/text.js';
import { Button } from './controls.js';

/**
 * @param {{title: string, about?: any, kind?: string, onClose: () => void, foot?: any, children?: any,
 *   onSubmit?: () => void}} props `kind`: box, box small or sheet. With `onSubmit` it is a form.
 */
export function Dialog({ title, about, kind = 'box', onClose, foot, children, onSubmit }) {
  const own = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  const here = useRef(true);
  useLayoutEffect(() => {
    const dialog = own.current;
    const before = document.activeElement;
    if (dialog && !dialog.open) dialog.showModal();
    return () => {
      here.current = false;
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const cancel = (/** @type {Event} */ event) => {
    if (event.target !== own.current) return;
    event.preventDefault();
    onClose();
  };
  // Browsers close at a second Escape whatever a page says.
  const closed = () => here.current && onClose();
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    onSubmit?.();
  };
  const inside = html`
    <div class="head"><div><h2 id=${id}>${title}</h2>${about && html`<p>${about}</p>`}</div>
      <${Button} icon="close" kind="plain small" label=${t('Close')} onClick=${onClose} /></div>
    <div class="content" tabindex="0" role="group" aria-labelledby=${id}>${children}</div>
    ${foot && html`<div class="foot">${foot}</div>`}`;
  return html`<dialog class=${kind} ref=${own} aria-labelledby=${id} onCancel=${cancel} onClose=${closed}>
    ${onSubmit ? html`<form class="in" novalidate onSubmit=${submit}>${inside}</form>` : html`<div class="in">${inside}</div>`}
  </dialog>`;
}

/**
 * Asks before something that cannot be taken back.
 * @param {{title: string, children?: any, action: string, onYes: () => Promise<any> | any, onClose: () => void}} props
 */
export function Confirm({ title, children, action, onYes, onClose }) {
  const [busy, setBusy] = useState(false);
  const yes = async () => {
    setBusy(true);
    await onYes();
    setBusy(false);
    onClose();
  };
  const foot = html`<${Button} onClick=${onClose}>${t('Cancel')}<//>
    <${Button} kind="danger primary" type="submit" busy=${busy}>${action}<//>`;
  return html`<${Dialog} title=${title} kind="box small" onClose=${onClose} onSubmit=${yes} foot=${foot}>
    <p class="soft">${children}</p><//>`;
}
