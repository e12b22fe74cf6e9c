// Says in the reader's language what the gateway found wrong; what it does not know stays as the gateway said it.
import { count } from './format.js';
import { t } from './text.js';

/** What the gateway says, with `{name}` where a value stands. */
const KNOWN = [
  'must be given',
  'must be a whole number from {from} to {to}',
  'must be from {from} to {to}',
  'must be 0, which is off, or from {from} to {to}',
  'must be one of {list}',
  'must be more than nothing',
  'must be a single value',
  'must not be negative',
  'must name at least one',
  'must begin with http:// or https://',
  'must not have a query or fragment; paths are appended to it',
  'must not hold a user or password; credentials go into api_key',
  'is not a duration such as 250ms, 30s or 2m',
  'is not a size such as 512KiB, 64MiB or 1GiB',
  'is not an address or range such as 10.0.0.0/8',
  'is not a URL such as https://api.example.com/v1',
  "is not a header's name",
  "is not a header's name (a final `*` matches any ending)",
  'a name has 1 to 64 letters, digits, `.`, `_` or `-`, and starts with a letter or digit',
  'a name has 1 to 256 characters, no spaces and no control characters',
  'is no key of this gateway',
  'no backend serves the model `{name}`',
  'there is no request `{name}`',
  'there is no team `{name}`',
  'there is no key `{name}`',
  'there is no such instance',
];

const PATTERNS = KNOWN.map((said) => ({ said, pattern: new RegExp(`^${said.replaceAll(/[.*+?^$()[\]\\|]/g, '\\$&').replaceAll(/\{(\w+)\}/g, '(?<$1>.+?)')}$`) }));

/** @param {string} message @returns {string} */
export function heard(message) {
  for (const { said, pattern } of PATTERNS) {
    const found = pattern.exec(message);
    if (found) return t(said, Object.fromEntries(Object.entries(found.groups ?? {}).map(([name, value]) => [name, /^\d{5,}$/.test(value) ? count(Number(value)) : value])));
  }
  return message;
}
