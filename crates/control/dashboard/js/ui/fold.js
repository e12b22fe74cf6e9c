// What is in sight on a wide screen and stands behind one control on a narrow one, so that what one came for is first.
import { html, useId } from '../lib.js';
import { Icon } from './icons.js';

/** @param {{icon: string, title: any, open: boolean, onToggle: () => void, control?: any, children?: any}} props `control`: a reference to the button. */
export function Fold({ icon, title, open, onToggle, control, children }) {
  const id = useId();
  return html`<button type="button" class="fold-control" ref=${control} aria-expanded=${String(open)} aria-controls=${id} onClick=${onToggle}>
      <${Icon} name=${icon} />${title}<${Icon} name="down" /></button>
    <div class="fold" id=${id} data-open=${String(open)}>${children}</div>`;
}
