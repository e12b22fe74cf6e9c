// A table that folds into cards on a narrow screen; which rows there are is the page's business.
import { html } from '../lib.js';
import { t } from '../text/text.js';
import { Button } from './controls.js';
import { Failed, Loading } from './states.js';

/**
 * @template [Row=any]
 * @typedef {{title: string, cell: (row: Row) => any, number?: boolean, tools?: boolean, hidden?: boolean, minor?: boolean, short?: boolean,
 *   wide?: boolean, lead?: boolean, prose?: boolean}} Column Where room is scarce `minor` is left out; on a narrow screen `lead` stands
 *   beside the name, numbers that are not `wide` and what is `short` stand two by two, and `prose` takes lines of its own.
 */

/**
 * @param {{label: string, columns: Column[], rows: any[], id: (row: any) => string, empty?: any,
 *   dim?: (row: any) => boolean, onOpen?: (row: any) => void}} props
 */
export function Table({ label, columns, rows, id, empty, dim, onOpen }) {
  if (rows.length === 0 && empty) return empty;
  const seen = columns.filter((column) => !column.hidden);
  const kind = (/** @type {Column} */ column) => ['number', 'tools', 'minor', 'short', 'wide', 'lead', 'prose'].filter((name) => column[/** @type {keyof Column} */ (name)]).join(' ') || undefined;
  // The first cell holds a button, so the keyboard reaches what a click on the row does.
  const open = (/** @type {any} */ row) => (/** @type {any} */ event) => {
    if (!event.target.closest('button, a, input, select')) onOpen?.(row);
  };
  return html`<div class="table-box" tabindex="0" role="region" aria-label=${label}><table class="table folds">
    <caption class="only-read">${label}</caption>
    <thead><tr>${seen.map((column) => html`<th key=${column.title} scope="col" class=${kind(column)}>
      ${column.tools ? html`<span class="only-read">${column.title}</span>` : column.title}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${id(row)} class=${[onOpen && 'opens', dim?.(row) && 'off'].filter(Boolean).join(' ')}
      onClick=${onOpen && open(row)}>
      ${seen.map((column, n) => html`<td key=${n} class=${kind(column)} data-label=${column.title}><div>${column.cell(row)}</div></td>`)}</tr>`)}
    </tbody></table></div>`;
}

/**
 * A table whose rows come in pages, with what stands for it before and instead.
 * @param {Omit<Parameters<typeof Table>[0], 'rows'> & {of: ReturnType<typeof import('../state/pages.js').usePages>, foot?: any, more?: string}} props
 */
export function Paged({ of, foot, more = t('Older'), ...table }) {
  if (of.problem) return html`<${Failed} problem=${of.problem} onAgain=${of.reload} />`;
  if (of.rows === null) return html`<${Loading} lines=${8} />`;
  return html`<${Table} ...${table} rows=${of.rows} />
    ${(foot || of.more) && html`<div class=${`row more ${foot ? 'apart' : ''}`}>${foot}${of.more && html`<${Button} busy=${of.loading} onClick=${of.more}>${more}<//>`}</div>`}`;
}
