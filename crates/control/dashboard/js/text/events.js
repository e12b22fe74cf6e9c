// Says an event in the reader's language, from its kind and fields; what providers said stays in their words.
import { exactMoney, money, percent, span } from './format.js';
import { say, t } from './text.js';

/** @param {any} fields Something that lasts, and why. */
const lasting = ({ lasts_ms, reason, said }) => lasts_ms !== undefined && t('for {time}: {why}', { time: span(lasts_ms), why: said ?? say(reason) });

/** What ended an error. @type {Record<string, () => string>} */
const ENDED = {
  probe: () => t('by a probe'),
  operator: () => t('by an operator'),
  restart: () => t('its process is there again'),
  change: () => t('its credential or address is another one'),
};

/** @param {string | undefined} name As in `key app/day`. */
function budget(name = '') {
  const [, kind, holder, per] = /^(?:(key|team) (.*)|gateway)\/(\w+)$/.exec(name) ?? [];
  if (!per) return name;
  const whose = kind === 'key' ? t('Key {name}', { name: holder ?? '' }) : kind === 'team' ? t('Team {name}', { name: holder ?? '' }) : t('The whole gateway');
  return `${whose} (${t(PERIODS[per] ?? per)})`;
}

/** @type {Record<string, string>} */
export const PERIODS = { hour: 'an hour', day: 'a day', week: 'a week', month: 'a month', total: 'in all' };

/** By kind; nothing where an older gateway wrote no fields down. @type {Record<string, (fields: any) => string | false | undefined>} */
const WORDS = {
  cooldown_started: lasting,
  breaker_opened: lasting,
  cooldown_ended: () => t('one probe goes first'),
  retreat_started: () => t('too many 429s'),
  retreat_ending: () => t('its rate recovers'),
  retreat_ended: () => t('at its own rate again'),
  alert: ({ percent: share }) => share !== undefined && t('{share} of its answers are 429s', { share: percent(share) }),
  breaker_closed: () => t('its probe was answered'),
  error_cleared: ({ reason }) => ENDED[reason]?.(),
  reset: () => t('by an operator'),
  usage_contradicted: () => t('what it says was used does not add up'),
  budget_crossed: (of) => of.amount !== undefined && t('{budget}: {share} is spent, {spent} of {amount}', { budget: budget(of.budget), share: percent(of.percent), spent: money(of.spent), amount: money(of.amount) }),
  refused: ({ reason }) => reason && say(reason),
  passthrough: () => t('the queue is full: beyond its rate'),
  emergency: () => t('all backends are spent: beyond its rate'),
};

/** @param {import('../state/events.js').Event} event */
export const told = (event) => WORDS[event.kind]?.(event.fields ?? {}) || event.text;

/** Amounts to the last digit, where people are told rounded ones. @param {import('../state/events.js').Event} event */
export const exact = ({ fields }) => (fields?.amount === undefined ? undefined : `${exactMoney(fields.spent)} / ${exactMoney(fields.amount)}`);
