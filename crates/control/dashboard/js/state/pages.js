// Loads a list page by page, the next one when asked; it never mixes answers to two questions.
import { useEffect, useState } from '../lib.js';
import { attempt } from '../ui/toasts.js';
import { Problem, call, listIn } from './api.js';

/**
 * @typedef {{rows: any[] | null, page: any, problem: Problem | null, loading: boolean}} Pages
 * `rows` of all pages so far, `page` as the newest answer has it.
 */

/** @type {Pages} */
const NONE = { rows: null, page: null, problem: null, loading: true };

/**
 * The first page is looked at again every so often, until somebody reads further.
 * @param {string} path Under `/api`. @param {Record<string, string>} wanted What narrows it down.
 * @param {{limit?: number, everySeconds?: number}} [more]
 * @returns {Pages & {more: (() => Promise<void>) | null, reload: () => void}}
 */
export function usePages(path, wanted, { limit = 50, everySeconds = 0 } = {}) {
  const [state, setState] = useState(NONE);
  const [turn, setTurn] = useState(0);
  const [further, setFurther] = useState(false);
  const asked = new URLSearchParams({ limit: String(limit), ...given(wanted) }).toString();
  const again = () => setTurn((n) => n + 1);
  useEffect(() => {
    const controller = new AbortController();
    setFurther(false);
    setState((before) => ({ ...before, loading: true }));
    call('GET', `${path}?${asked}`, { signal: controller.signal }).then(
      (page) => setState({ rows: listIn(page), page, problem: null, loading: false }),
      (problem) => controller.signal.aborted || setState({ ...NONE, problem, loading: false }),
    );
    return () => controller.abort();
  }, [path, asked, turn]);
  useEffect(() => {
    if (!everySeconds || further) return undefined;
    const timer = setInterval(() => document.hidden || again(), everySeconds * 1000);
    return () => clearInterval(timer);
  }, [everySeconds, further]);
  const more = async () => {
    setFurther(true);
    setState((before) => ({ ...before, loading: true }));
    const page = await attempt(() => call('GET', `${path}?${asked}&cursor=${encodeURIComponent(state.page.next)}`));
    setState((before) => (page ? { rows: [...(before.rows ?? []), ...listIn(page)], page, problem: null, loading: false } : { ...before, loading: false }));
  };
  return { ...state, more: state.page?.next ? more : null, reload: again };
}

/** What was filled in. @param {Record<string, string>} wanted @returns {Record<string, string>} */
export function given(wanted) {
  return Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name, value?.trim()]).filter(([, value]) => value));
}

const PAUSE_MS = 250;

/** What is typed, once the fingers rest. @param {string} text */
export function useDelayed(text) {
  const [rested, setRested] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setRested(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return rested;
}
