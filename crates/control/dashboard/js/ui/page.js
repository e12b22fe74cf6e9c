// The head of a page: what it is, in one line, and what can be done here.
import { html } from '../lib.js';

/** @param {{title: string, about?: any, children?: any}} props */
export function PageHead({ title, about, children }) {
  return html`<div class="page-head"><div><h1>${title}</h1>${about && html`<p>${about}</p>`}</div>
    ${children && html`<div class="actions">${children}</div>`}</div>`;
}
