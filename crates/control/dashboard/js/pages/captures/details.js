// One capture: what was sent, what each backend said, and what was given; it changes nothing.
import { html } from '../../lib.js';
import { useResource } from '../../state/resource.js';
import { Link } from '../../state/route.js';
import { bytes, exactly } from '../../text/format.js';
import { t } from '../../text/text.js';
import { Badge, Copy } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { Notice, Shown } from '../../ui/states.js';
import { Pairs } from '../backends/details.js';

/** How an answer ended for its client. @param {string} word */
export function ended(word) {
  return word === 'left' ? t('the client left') : word === 'broken' ? t('broken off') : t('given whole');
}

/** @param {{id: string, onClose: () => void}} props */
export function Capture({ id, onClose }) {
  const found = useResource(`/admin/captures/${encodeURIComponent(id)}`);
  return html`<${Dialog} title=${t('Capture')} about=${html`<code class="wrap-anywhere">${found.value?.request_id ?? id}</code>`} kind="sheet" onClose=${onClose}>
    <${Shown} of=${found} lines=${10}>${(/** @type {any} */ capture) => html`<${Exchange} of=${capture} />`}<//><//>`;
}

/** @param {{of: any}} props */
function Exchange({ of }) {
  const rows = [
    [t('Arrived'), exactly(of.at)],
    [t('Key'), of.key_name ?? of.key ?? t('none')],
    [t('Model'), of.model ?? '–'],
    [t('Backend'), of.backend ?? '–'],
    [t('Answer'), html`<${Badge} tone=${of.status >= 400 ? 'bad' : 'good'}>${of.status}<//> ${ended(of.ended)}`],
    [t('Receipt'), html`<${Link} to=${`/requests?open=${encodeURIComponent(of.request_id)}`}>${t('Show the request')}<//>`],
  ];
  return html`<div class="stack" data-testid="capture"><${Pairs} rows=${rows} />
    <${Side} title=${t('Request')} line=${`${of.request.method} ${of.request.path}`} said=${of.request} size=${of.request_bytes} cut=${of.request_cut} />
    ${of.attempts.length > 0 && html`<section><h3>${t('Attempts')}</h3>${of.attempts.map((/** @type {any} */ one, /** @type {number} */ n) => html`<details key=${n}><summary>${one.backend} · ${one.status ?? one.error}</summary><${Headers} of=${one.headers} /></details>`)}</section>`}
    <${Side} title=${t('Answer')} line=${String(of.status)} said=${of.response} size=${of.response_bytes} cut=${of.response_cut} /></div>`;
}

/** @param {{title: string, line: string, said: any, size: number, cut: boolean}} props */
function Side({ title, line, said, size, cut }) {
  const body = said.text ?? said.base64 ?? '';
  return html`<section class="stack tight"><div class="row apart"><h3>${title}</h3>${body && html`<${Copy} text=${body} />`}</div>
    <code class="wrap-anywhere">${line}</code>
    <details><summary>${t('{n} headers', { n: said.headers.length })}</summary><${Headers} of=${said.headers} /></details>
    ${cut && html`<${Notice} tone="warn">${t('Only the beginning of {size} was kept.', { size: bytes(size) })}<//>`}
    ${said.base64 !== undefined && html`<p class="quiet small">${t('This is no text; it is shown in base64.')}</p>`}
    ${body ? html`<pre class="snippet" tabindex="0" aria-label=${title}>${pretty(body)}</pre>` : html`<p class="quiet">${t('Without a body')}</p>`}</section>`;
}

/** @param {{of: [string, string][]}} props */
function Headers({ of }) {
  return html`<${Pairs} rows=${of.map(([name, value]) => [html`<code>${name}</code>`, html`<code class="wrap-anywhere">${value}</code>`])} />`;
}

/** JSON that is whole, on lines of its own. @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
