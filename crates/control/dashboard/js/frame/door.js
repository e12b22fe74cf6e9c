// The door: takes the admin token, gives it to the gateway once, and forgets it.
import { html, useState, useEffect } from '../lib.js';
import { login } from '../state/api.js';
import { t } from '../text/text.js';
import { Button } from '../ui/controls.js';
import { TextField } from '../ui/fields.js';
import { Choices } from './choices.js';

export function Door() {
  const [token, setToken] = useState('');
  const [wrong, setWrong] = useState('');
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = `Lockgate · ${t('Log in')}`;
  });
  const enter = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!token.trim()) return setWrong(t('Enter the admin token.'));
    setBusy(true);
    try {
      await login(token.trim());
    } catch (problem) {
      setWrong(reason(/** @type {any} */ (problem)));
      setBusy(false);
    }
    return undefined;
  };
  return html`<main class="door"><div class="door-card">
    <div><div class="brand"><img src="/dashboard/icon.svg" alt="" />Lockgate</div></div>
    <form onSubmit=${enter} novalidate>
      <div><h1>${t('Log in')}</h1><p class="quiet">${t('Use the admin token. It was printed at the first start, or set by LOCKGATE_ADMIN_TOKEN.')}</p></div>
      <${TextField} label=${t('Admin token')} type="password" value=${token} onChange=${setToken} wrong=${wrong} autofocus=${true} autocomplete="current-password" name="token" />
      <${Button} type="submit" kind="primary" busy=${busy}>${t('Log in')}<//>
    </form>
    <${Choices} />
  </div></main>`;
}

/** @param {import('../state/api.js').Problem} problem */
function reason(problem) {
  if (problem.status === 401) return t('This token is wrong.');
  if (problem.status === 429) return t('Too many wrong tokens. Wait a minute and try again.');
  if (problem.status === 0) return t('The gateway cannot be reached.');
  return problem.message;
}
