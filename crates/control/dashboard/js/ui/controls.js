// Small controls that every page uses: buttons, choices, badges, meters; they hold no data.
import { html, useEffect, useRef, useState } from '../lib.js';
import { t } from '../text/text.js';
import { Icon } from './icons.js';

/**
 * @param {{icon?: string, kind?: string, label?: string, busy?: boolean, disabled?: boolean, type?: string,
 *   onClick?: (event: MouseEvent) => void, children?: any, [name: string]: any}} props
 */
export function Button({ icon, kind = '', label, busy, disabled, type = 'button', children, ...rest }) {
  const only = children === undefined || children === null ? ' icon' : '';
  return html`<button type=${type} class=${`button ${kind}${only}`} aria-label=${label} title=${label}
    disabled=${disabled || busy} aria-busy=${busy ? 'true' : undefined} ...${rest}>
    ${busy ? html`<span class="spinner" />` : icon && html`<${Icon} name=${icon} />`}${children}
  </button>`;
}

/**
 * One of a few, all in sight.
 * @param {{label: string, value: string, options: {value: string, text?: string, icon?: string, label?: string}[],
 *   onChange: (value: string) => void}} props
 */
export function Choice({ label, value, options, onChange }) {
  return html`<div class="segmented" role="group" aria-label=${label}>
    ${options.map(
      (option) => html`<button type="button" key=${option.value} aria-pressed=${option.value === value ? 'true' : 'false'}
        aria-label=${option.label} title=${option.label} onClick=${() => onChange(option.value)}>
        ${option.icon && html`<${Icon} name=${option.icon} />`}${option.text}</button>`,
    )}
  </div>`;
}

/** @param {{tone?: string, children?: any, title?: string}} props */
export function Badge({ tone = '', children, title }) {
  return html`<span class=${`badge ${tone}`} title=${title}>${children}</span>`;
}

/** What is stored but does not hold. @param {{why: string}} props */
export const Unusable = ({ why }) => html`<${Badge} tone="bad" title=${why}>${t('Cannot be used')}<//>`;

/** @param {{share: number, tone?: string, label: string}} props `share` of one. */
export function Meter({ share, tone = '', label }) {
  const bar = useRef(/** @type {HTMLElement | null} */ (null));
  const percent = Math.max(0, Math.min(1, Number.isFinite(share) ? share : 0)) * 100;
  // Styles are set on the element: the page's policy allows none in the markup.
  useEffect(() => {
    if (bar.current) bar.current.style.width = `${percent}%`;
  }, [percent]);
  return html`<div class=${`meter ${tone}`} role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
    aria-valuenow=${Math.round(percent)}><span ref=${bar} /></div>`;
}

/** @param {{text: string, label?: string}} props */
export function Copy({ text, label }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text).catch(() => null);
    setDone(true);
    setTimeout(() => setDone(false), 1600);
  };
  return html`<${Button} icon=${done ? 'check' : 'copy'} kind="small" onClick=${copy}>
    ${done ? t('Copied') : (label ?? t('Copy'))}<//>`;
}

/**
 * Counts down by itself between two pictures of the gateway.
 * @param {{ends: number, children: (leftMs: number) => any}} props `ends` on `performance.now()`'s clock.
 */
export function Countdown({ ends, children }) {
  const [now, setNow] = useState(performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 200);
    return () => clearInterval(timer);
  }, [ends]);
  return children(Math.max(0, ends - now));
}
