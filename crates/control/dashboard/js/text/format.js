// Decides how numbers, money, spans and moments look; it never rounds money to nothing.
import { language } from '../state/preferences.js';
import { t } from './text.js';

const locale = () => (language.value === 'zh' ? 'zh-CN' : 'en-US');
/** @type {Map<string, Intl.NumberFormat>} */
const numbers = new Map();
/** @type {Map<string, Intl.DateTimeFormat>} */
const dates = new Map();

/** @param {Intl.NumberFormatOptions} options */
function number(options) {
  const key = locale() + JSON.stringify(options);
  const found = numbers.get(key) ?? new Intl.NumberFormat(locale(), options);
  numbers.set(key, found);
  return found;
}

/** @param {Intl.DateTimeFormatOptions} options */
function date(options) {
  const key = locale() + JSON.stringify(options);
  const found = dates.get(key) ?? new Intl.DateTimeFormat(locale(), options);
  dates.set(key, found);
  return found;
}

export const NONE = '–';

/** @param {number | null | undefined} value */
export function count(value) {
  return value === null || value === undefined ? NONE : number({ maximumFractionDigits: 0 }).format(value);
}

/** Short for large figures: 12.3K. @param {number | null | undefined} value */
export function short(value) {
  if (value === null || value === undefined) return NONE;
  if (Math.abs(value) < 1000) return number({ maximumFractionDigits: Math.abs(value) < 1 ? 2 : Math.abs(value) < 10 ? 1 : 0 }).format(value);
  return number({ notation: 'compact', maximumSignificantDigits: 3 }).format(value);
}

/** @param {number | null | undefined} value Of a hundred. */
export function percent(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return `${number({ maximumFractionDigits: value !== 0 && Math.abs(value) < 10 ? 1 : 0 }).format(value)}%`;
}

/** US dollars, small ones to the digit that says something. @param {string | number | null | undefined} value */
export function money(value) {
  if (value === null || value === undefined) return NONE;
  const amount = Number(value);
  if (!Number.isFinite(amount)) return String(value);
  const small = amount !== 0 && Math.abs(amount) < 0.1;
  const digits = small ? { minimumSignificantDigits: 3, maximumSignificantDigits: 3 } : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  const text = number(digits).format(Math.abs(amount));
  return `${amount < 0 ? '−' : ''}$${text}`;
}

/** US dollars to the last digit: for a price, and beside what was rounded. @param {string | number | null | undefined} value */
export function exactMoney(value) {
  if (value === null || value === undefined) return NONE;
  const amount = Number(value);
  return Number.isFinite(amount) ? `$${number({ minimumFractionDigits: 2, maximumFractionDigits: 15 }).format(amount)}` : String(value);
}

/** @param {number | null | undefined} ms */
export function span(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 999.5) return `${number({ maximumFractionDigits: 0 }).format(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${number(seconds < 9.95 ? { minimumFractionDigits: 1, maximumFractionDigits: 1 } : { maximumFractionDigits: 0 }).format(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return t('{m} min {s} s', { m: Math.floor(whole / 60), s: whole % 60 });
  const hours = Math.floor(whole / 3600);
  return hours < 48 ? t('{h} h {m} min', { h: hours, m: Math.floor((whole % 3600) / 60) }) : t('{d} d {h} h', { d: Math.floor(hours / 24), h: hours % 24 });
}

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  let amount = value;
  for (const unit of ['B', 'KiB', 'MiB']) {
    if (amount < 1024) return `${number({ maximumFractionDigits: amount < 10 ? 1 : 0 }).format(amount)} ${unit}`;
    amount /= 1024;
  }
  return `${number({ maximumFractionDigits: 1 }).format(amount)} GiB`;
}

/** Milliseconds since the epoch, whether written as a number or as RFC 3339. @param {number | string | null | undefined} value */
export function moment(value) {
  if (value === null || value === undefined || value === '') return null;
  const ms = typeof value === 'number' ? value : Date.parse(value);
  return Number.isFinite(ms) ? ms : null;
}

/** @param {number | string | null | undefined} value */
export function when(value) {
  const ms = moment(value);
  if (ms === null) return NONE;
  const [at, now] = [new Date(ms), new Date()];
  const clock = /** @type {const} */ ({ hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  if (at.toDateString() === now.toDateString()) return date(clock).format(ms);
  const year = at.getFullYear() === now.getFullYear() ? undefined : /** @type {const} */ ('numeric');
  return date({ year, month: 'short', day: 'numeric', ...clock }).format(ms);
}

/** With everything, for a tooltip or a detail. @param {number | string | null | undefined} value */
export function exactly(value) {
  const ms = moment(value);
  if (ms === null) return NONE;
  return date({ dateStyle: 'medium', timeStyle: 'long', hour12: false }).format(ms);
}

/** @param {number} ms @param {'hour' | 'day' | 'second'} grain */
export function tick(ms, grain) {
  if (grain === 'day') return date({ month: 'short', day: 'numeric', timeZone: 'UTC' }).format(ms);
  if (grain === 'second') return date({ hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }).format(ms);
  const at = new Date(ms);
  if (at.getHours() === 0 && at.getMinutes() === 0) return date({ month: 'short', day: 'numeric' }).format(ms);
  return date({ hour: '2-digit', minute: '2-digit', hour12: false }).format(ms);
}

/** @param {number | string | null | undefined} value */
export function ago(value) {
  const ms = moment(value);
  if (ms === null) return t('never');
  return since(Date.now() - ms);
}

/** @param {number | null | undefined} age In milliseconds. */
export function since(age) {
  if (age === null || age === undefined) return NONE;
  const seconds = Math.max(0, Math.round(age / 1000));
  if (seconds < 5) return t('just now');
  if (seconds < 60) return t('{n} s ago', { n: seconds });
  if (seconds < 3600) return t('{n} min ago', { n: Math.floor(seconds / 60) });
  if (seconds < 172_800) return t('{n} h ago', { n: Math.floor(seconds / 3600) });
  return t('{n} days ago', { n: Math.floor(seconds / 86_400) });
}

/** Tokens in, all kinds together. @param {any} usage */
export function tokensIn(usage) {
  return usage ? usage.input + usage.cached_input + usage.cache_write + usage.cache_write_1h : 0;
}
