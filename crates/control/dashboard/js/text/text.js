// Says what the pages say in the chosen language; the English text is the key, so that code reads as the page does.
import { language } from '../state/preferences.js';
import { CHINESE } from './zh.js';

/**
 * @param {string} english With `{name}` where a value belongs.
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(english, values) {
  const said = language.value === 'zh' ? (CHINESE[english] ?? english) : english;
  if (!values) return said;
  return said.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** What is not written as it is spoken. @type {Record<string, string>} */
const NAMES = { api: 'API' };

/** A word of the API, such as `rate_limited`, as people say it. @param {string | null | undefined} word */
export function say(word) {
  if (!word) return '';
  const known = NAMES[word];
  if (known) return known;
  const plain = word.replaceAll('_', ' ');
  return t(plain.charAt(0).toUpperCase() + plain.slice(1));
}
