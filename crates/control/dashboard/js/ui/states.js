// What stands where data is missing: not yet, none, not allowed, or broken; each says which.
import { html } from '../lib.js';
import { heard } from '../text/problems.js';
import { t } from '../text/text.js';
import { Icon } from './icons.js';
import { Button } from './controls.js';

/** @param {{icon?: string, title: string, children?: any}} props */
export function Empty({ icon = 'empty', title, children }) {
  return html`<div class="empty"><${Icon} name=${icon} /><strong>${title}</strong>${children && html`<p>${children}</p>`}</div>`;
}

/** @param {{lines?: number}} props */
export function Loading({ lines = 4 }) {
  return html`<div class="bones" role="status" aria-label=${t('Loading')}>${Array.from({ length: lines }, (_, n) => html`<i key=${n} />`)}</div>`;
}

/** @param {{problem: import('../state/api.js').Problem, onAgain?: () => void}} props */
export function Failed({ problem, onAgain }) {
  if (problem.status === 404) return html`<${Empty} icon="search" title=${t('Not found')}>${heard(problem.message)}<//>`;
  if (problem.status === 403) {
    return html`<${Empty} icon="audit" title=${t('Not allowed')}>${t('Your role may not see this.')}<//>`;
  }
  const reason = problem.status === 0 ? t('The gateway cannot be reached.') : heard(problem.message);
  return html`<div role="alert"><${Empty} icon="warning" title=${t('This could not be loaded')}>${reason}<//>
    ${onAgain && html`<div class="row" style=${{ justifyContent: 'center', paddingBottom: '24px' }}><${Button} icon="refresh" onClick=${onAgain}>${t('Try again')}<//></div>`}</div>`;
}

/**
 * Shows a resource once it is there, and otherwise says why not.
 * @param {{of: import('../state/resource.js').Resource<any>, lines?: number, children: (value: any) => any}} props
 */
export function Shown({ of, lines, children }) {
  if (of.value !== undefined) return children(of.value);
  if (of.problem) return html`<${Failed} problem=${of.problem} onAgain=${of.reload} />`;
  return html`<${Loading} lines=${lines} />`;
}

/** @param {{tone?: string, children?: any}} props */
export function Notice({ tone = '', children }) {
  const icon = tone === 'good' ? 'check' : tone === '' ? 'note' : 'warning';
  return html`<div class=${`notice ${tone}`} role=${tone === 'bad' ? 'alert' : undefined}><${Icon} name=${icon} /><div>${children}</div></div>`;
}
