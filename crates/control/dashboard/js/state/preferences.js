// What a person chose for this browser: theme and language. It never leaves the browser.
import { signal, effect } from '../lib.js';

/** @param {string} name @param {string[]} allowed @param {string} otherwise */
function remembered(name, allowed, otherwise) {
  try {
    const found = localStorage.getItem(name);
    return found !== null && allowed.includes(found) ? found : otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} name @param {string} value */
function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A browser that keeps nothing forgets the choice with the tab.
  }
}

const system = matchMedia('(prefers-color-scheme: dark)');
const systemIsDark = signal(system.matches);
system.addEventListener('change', (event) => (systemIsDark.value = event.matches));

/** `auto`, `light` or `dark`. */
export const theme = signal(remembered('lockgate-theme', ['auto', 'light', 'dark'], 'auto'));
/** What is painted: `light` or `dark`. */
export const painted = signal('light');
effect(() => {
  painted.value = theme.value === 'auto' ? (systemIsDark.value ? 'dark' : 'light') : theme.value;
  document.documentElement.dataset.theme = painted.value;
  remember('lockgate-theme', theme.value);
});

const preferred = navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
/** `en` or `zh`. */
export const language = signal(remembered('lockgate-language', ['en', 'zh'], preferred));
effect(() => {
  document.documentElement.lang = language.value === 'zh' ? 'zh-Hans' : 'en';
  remember('lockgate-language', language.value);
});
