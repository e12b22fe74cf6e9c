// A link to a table as a file, made by the gateway row by row; it asks for what the page shows.
import { html } from '../lib.js';
import { t } from '../text/text.js';
import { Icon } from './icons.js';

/** @param {{kind: 'requests' | 'usage' | 'audit', wanted: Record<string, string>}} props */
export function Export({ kind, wanted }) {
  const asked = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value?.trim()));
  asked.set('format', 'csv');
  return html`<a class="button" href=${`/api/admin/export/${kind}?${asked}`} download=${`${kind}.csv`}><${Icon} name="download" />${t('Export CSV')}</a>`;
}
