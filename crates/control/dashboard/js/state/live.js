// Keeps what the gateway tells each second; it says when that is old, and never guesses what came since.
import { signal, batch } from '../lib.js';
import { resume } from './api.js';

/**
 * @typedef {{at: number, requests: number, failed: number, tokens_in: number, tokens_out: number, in_flight: number | null, queued: number[] | null}} Point `null` where nobody watched.
 * @typedef {{p50: number, p90: number, p99: number}} Percentiles
 * @typedef {{at: number, version: number, live: any, today: any, point: Point,
 *   behind: {entries: number, bytes: number, since_ms: number, trouble: string | null} | null,
 *   latency: {sampled: number, failed: number, first_event_ms: Percentiles | null, total_ms: Percentiles | null} | null}} Picture
 */

const STALE_MS = 5000;
const RETRY_MS = 3000;
const HISTORY_MS = 600_000;

/** @type {import('@preact/signals-core').Signal<Picture | null>} */
export const picture = signal(null);
/** @type {import('@preact/signals-core').Signal<Point[]>} */
export const points = signal([]);
/** Whether what is shown is older than five seconds. */
export const stale = signal(false);
/** When the last picture came, by this browser's own clock. */
export const arrived = signal(0);

/** @type {EventSource | null} */
let source = null;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let silence;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let again;

function heard() {
  clearTimeout(silence);
  silence = setTimeout(() => (stale.value = true), STALE_MS);
  stale.value = false;
}

/** @param {Point[]} history */
function joined(history) {
  const known = new Map(points.value.map((point) => [point.at, point]));
  for (const point of history) known.set(point.at, point);
  const sorted = [...known.values()].sort((one, other) => one.at - other.at);
  const last = sorted.at(-1)?.at ?? 0;
  return sorted.filter((point) => point.at > last - HISTORY_MS);
}

/** Begins to listen, until `stop`. */
export function listen() {
  if (source) return;
  clearTimeout(silence);
  silence = setTimeout(() => (stale.value = true), STALE_MS);
  const opened = new EventSource('/dashboard/sse');
  source = opened;
  opened.addEventListener('history', (event) => (points.value = joined(JSON.parse(event.data))));
  opened.addEventListener('picture', (event) => {
    /** @type {Picture} */
    const told = JSON.parse(event.data);
    batch(() => {
      picture.value = told;
      arrived.value = performance.now();
      points.value = joined([told.point]);
    });
    heard();
  });
  opened.addEventListener('error', () => {
    // A refusal ends an event source for good: somebody may have been logged out, or all seats be taken.
    if (opened.readyState !== EventSource.CLOSED) return;
    source = null;
    again = setTimeout(async () => {
      await resume();
      listen();
    }, RETRY_MS);
  });
}

export function stop() {
  source?.close();
  source = null;
  clearTimeout(silence);
  clearTimeout(again);
  stale.value = false;
}
