// Writes tables as CSV that a spreadsheet reads as text and numbers, never as formulas.

/** @param {unknown} value */
function cell(value) {
  let text = value === null || value === undefined ? '' : String(value);
  // A name that begins so would be run by a spreadsheet.
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {unknown[][]} rows */
export function csv(rows) {
  return rows.map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

/** @param {any[]} rows */
export function usageCsv(rows) {
  const head = ['bucket', 'group', 'requests', 'completed', 'failed', 'cancelled', 'attempts', 'input', 'cached_input', 'cache_write', 'output', 'reasoning', 'cost_usd', 'unpriced'];
  const lines = rows.map(({ bucket, group, sums }) => [new Date(bucket).toISOString(), group, sums.requests, sums.completed, sums.failed, sums.cancelled, sums.attempts, sums.usage.input,
    sums.usage.cached_input, sums.usage.cache_write + sums.usage.cache_write_1h, sums.usage.output, sums.usage.reasoning, Number(sums.cost), sums.unpriced]);
  return csv([head, ...lines]);
}

/** Gives a text to the browser as a file. @param {string} text @param {string} name @param {string} [kind] */
export function save(text, name, kind = 'text/csv') {
  const address = URL.createObjectURL(new Blob([text], { type: `${kind};charset=utf-8` }));
  const link = Object.assign(document.createElement('a'), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
