// Joins what the gateway tells each second of its events with what it kept of earlier ones; it never tells one twice.
import { useEffect, useState } from '../lib.js';
import { attempt } from '../ui/toasts.js';
import { call } from './api.js';
import { picture } from './live.js';

/**
 * @typedef {{first: number, number: number, at: number, kind: string, backend: string | null, fields?: any, text: string, times: number}} Event
 */

/** The newest first. @param {number} limit Of one page. @returns {{events: Event[], older: (() => void) | null}} */
export function useEvents(limit) {
  const [kept, setKept] = useState(/** @type {{rows: Event[], next: string | null}} */ ({ rows: [], next: null }));
  const load = async (/** @type {string | null} */ cursor) => {
    const page = await attempt(() => call('GET', `/admin/events?limit=${limit}${cursor ? `&cursor=${cursor}` : ''}`));
    if (page) setKept((before) => ({ rows: cursor ? [...before.rows, ...page.events] : page.events, next: page.next ?? null }));
  };
  useEffect(() => {
    load(null);
  }, []);
  const known = new Map(kept.rows.map((event) => [event.first, event]));
  const now = picture.value?.at ?? 0;
  for (const event of picture.value?.live.events ?? []) known.set(event.first, { ...event, at: now - event.age_ms });
  const events = [...known.values()].sort((one, other) => other.number - one.number);
  return { events, older: kept.next ? () => load(kept.next) : null };
}
