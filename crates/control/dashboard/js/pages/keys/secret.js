// Shows a new secret once; when it is closed, nobody can see it again.
import { html } from '../../lib.js';
import { t } from '../../text/text.js';
import { Button, Copy } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { Notice } from '../../ui/states.js';

/** @param {{entry: {name: string, key: string}, onClose: () => void}} props */
export function SecretOnce({ entry, onClose }) {
  return html`<${Dialog} title=${t('The secret of {name}', { name: entry.name })} onClose=${onClose} foot=${html`<${Button} kind="primary" onClick=${onClose}>${t('I have kept it')}<//>`}>
    <div class="stack"><div class="secret"><code data-testid="secret">${entry.key}</code><${Copy} text=${entry.key} /></div>
    <${Notice} tone="warn">${t('It is shown this once. The gateway keeps only a digest of it.')}<//>
    <div class="field"><span class="label">${t('Try it')}</span><pre class="snippet">curl ${location.origin}/v1/models -H "Authorization: Bearer ${entry.key}"</pre></div></div><//>`;
}
