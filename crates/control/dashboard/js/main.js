// Starts the dashboard: the door for whom is not logged in, the frame for whom is; pages do the rest.
import { html, render, useEffect } from './lib.js';
import { resume, session } from './state/api.js';
import { listen, stop } from './state/live.js';
import { Door } from './frame/door.js';
import { Frame } from './frame/frame.js';
import { Toasts } from './ui/toasts.js';

function Dashboard() {
  const who = session.value;
  const isIn = Boolean(who);
  useEffect(() => {
    if (!isIn) return undefined;
    listen();
    return stop;
  }, [isIn]);
  if (who === undefined) return null;
  return html`${who ? html`<${Frame} />` : html`<${Door} />`}<${Toasts} />`;
}

const place = document.getElementById('app');
if (place) {
  render(html`<${Dashboard} />`, place);
  resume();
}
