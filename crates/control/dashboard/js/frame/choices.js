// The choices of theme and language, as they stand at the door and in the frame.
import { html } from '../lib.js';
import { language, theme } from '../state/preferences.js';
import { t } from '../text/text.js';
import { Choice } from '../ui/controls.js';

export function Choices() {
  const themes = [
    { value: 'auto', icon: 'system', label: t('As the system') },
    { value: 'light', icon: 'sun', label: t('Light') },
    { value: 'dark', icon: 'moon', label: t('Dark') },
  ];
  const languages = [
    { value: 'en', text: 'EN' },
    { value: 'zh', text: '中文' },
  ];
  return html`<div class="choices">
    <${Choice} label=${t('Theme')} value=${theme.value} options=${themes} onChange=${(/** @type {string} */ value) => (theme.value = value)} />
    <${Choice} label=${t('Language')} value=${language.value} options=${languages} onChange=${(/** @type {string} */ value) => (language.value = value)} />
  </div>`;
}
