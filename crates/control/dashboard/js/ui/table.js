// A table that folds into cards on a narrow screen; which rows there are is the page's business.
import { html } from '../lib.js';

/**
 * @typedef {{title: string, cell: (row: any) => any, number?: boolean, tools?: boolean, hidden?: boolean, minor?: boolean}} Column `minor`: not on a narrow screen.
 * @param {{label: string, columns: Column[], rows: any[], id: (row: any) => string, empty?: any,
 *   dim?: (row: any) => boolean, onOpen?: (row: any) => void}} props
 */
export function Table({ label, columns, rows, id, empty, dim, onOpen }) {
  if (rows.length === 0 && empty) return empty;
  const seen = columns.filter((column) => !column.hidden);
  const kind = (/** @type {Column} */ column) => [column.number && 'number', column.tools && 'tools', column.minor && 'minor'].filter(Boolean).join(' ') || undefined;
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
