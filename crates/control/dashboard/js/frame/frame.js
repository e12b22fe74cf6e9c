// The frame around every page: where one is, where one can go, and whether what is shown is fresh.
import { html, useEffect, useRef, useState } from '../lib.js';
import { logout, session } from '../state/api.js';
import { picture, stale } from '../state/live.js';
import { Link, path } from '../state/route.js';
import { say, t } from '../text/text.js';
import { Badge, Button } from '../ui/controls.js';
import { Icon } from '../ui/icons.js';
import { Empty } from '../ui/states.js';
import { Choices } from './choices.js';
import { GROUPS, PAGES } from './pages.js';

export function Frame() {
  const [open, setOpen] = useState(false);
  const here = path.value[0] ?? '';
  const page = PAGES.find((one) => one.path === here);
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const first = useRef(true);
  useEffect(() => {
    setOpen(false);
    document.title = `${page ? t(page.title) : t('Not found')} · Lockgate`;
    // Whoever uses the keyboard goes on in the page, not in the navigation.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [here]);
  useEffect(() => {
    if (!open) return undefined;
    const close = (/** @type {KeyboardEvent} */ event) => event.key === 'Escape' && setOpen(false);
    addEventListener('keydown', close);
    return () => removeEventListener('keydown', close);
  }, [open]);
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); main.current?.focus(); }}>${t('Skip to the page')}</a>
    <div class="top">
      <${Button} icon="menu" kind="plain" label=${t('Menu')} aria-expanded=${open} onClick=${() => setOpen(true)} />
      <span class="where">${page ? t(page.title) : t('Not found')}</span><${Pulse} />
    </div>
    <div class="frame">
      ${open && html`<button class="scrim" aria-label=${t('Close')} onClick=${() => setOpen(false)} />`}
      <${Side} open=${open} here=${here} />
      <main class="main"><div class="page" id="main" tabindex="-1" ref=${main} key=${here}>
        ${page ? html`<${page.view} />` : html`<${Empty} icon="search" title=${t('Not found')}><${Link} to="/">${t('To the overview')}<//><//>`}
      </div><${Veil} /></main>
    </div>`;
}

/** @param {{open: boolean, here: string}} props */
function Side({ open, here }) {
  return html`<div class="side" data-open=${String(open)}>
    <${Link} to="/" class="brand"><img src="/dashboard/icon.svg" alt="" />Lockgate<//>
    <nav class="nav" aria-label=${t('Pages')}>
      ${GROUPS.map((group) => html`<div key=${group.title}><h2>${t(group.title)}</h2>
        ${group.pages.map((page) => html`<${Link} key=${page.path} to=${`/${page.path}`} aria-current=${page.path === here ? 'page' : undefined}>
          <${Icon} name=${page.icon} />${t(page.title)}<${Count} of=${page.path} /><//>`)}</div>`)}
    </nav>
    <div class="side-foot">
      <div class="who"><span class="row"><${Pulse} /><span class="quiet small">${say(session.value?.role)}</span></span>
        <${Button} icon="leave" kind="plain small" onClick=${logout}>${t('Log out')}<//></div>
      <${Choices} />
    </div></div>`;
}

/** What should be seen from every page: backends that cannot be used. @param {{of: string}} props */
function Count({ of }) {
  if (of !== 'backends') return null;
  const unwell = picture.value?.live.backends.filter((/** @type {any} */ one) => one.state === 'cooling' || one.state === 'error').length;
  return unwell ? html`<span class="count"><${Badge} tone="warn" title=${t('Cooling or in error')}>${unwell}<//></span>` : null;
}

function Pulse() {
  const fresh = picture.value && !stale.value;
  return html`<span class="row small quiet"><span class=${`dot ${fresh ? 'good alive' : stale.value ? 'bad' : ''}`} />${fresh ? t('Live') : stale.value ? t('No data') : t('Connecting')}</span>`;
}

function Veil() {
  return html`<div role="status">${stale.value && html`<div class="veil" data-testid="veil"><div><span class="spinner" />
    <div><strong>${t('No data for 5 seconds')}</strong><span class="quiet">${t('What you see is old. Trying to reach the gateway again.')}</span></div></div></div>`}</div>`;
}
