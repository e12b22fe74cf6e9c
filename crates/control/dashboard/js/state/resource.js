// Loads what a page shows, again when asked; it never keeps an answer that a newer one has overtaken.
import { useCallback, useEffect, useState } from '../lib.js';
import { Problem, call, callAll } from './api.js';

/**
 * @template T
 * @typedef {{value: T | undefined, problem: Problem | undefined, loading: boolean, reload: () => void}} Resource
 */

/**
 * @param {string | null} path Under `/api`; nothing is loaded for `null`.
 * @param {{everySeconds?: number, whole?: boolean}} [more] `whole`: a list with all its pages.
 * @returns {Resource<any>}
 */
export function useResource(path, more = {}) {
  const [state, setState] = useState(
    /** @type {{path: string | null, value: any, problem: Problem | undefined, loading: boolean}} */
    ({ path, value: undefined, problem: undefined, loading: path !== null }),
  );
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (path === null) return undefined;
    const controller = new AbortController();
    setState((before) => ({ ...before, value: before.path === path ? before.value : undefined, path, loading: true }));
    const load = more.whole ? callAll(path, { signal: controller.signal }) : call('GET', path, { signal: controller.signal });
    load.then(
      (value) => setState({ path, value, problem: undefined, loading: false }),
      (problem) => {
        if (controller.signal.aborted || !(problem instanceof Problem)) return;
        setState((before) => ({ ...before, problem, loading: false }));
      },
    );
    return () => controller.abort();
  }, [path, turn]);
  useEffect(() => {
    if (!more.everySeconds) return undefined;
    const timer = setInterval(() => document.hidden || setTurn((n) => n + 1), more.everySeconds * 1000);
    return () => clearInterval(timer);
  }, [more.everySeconds]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  return { value: state.value, problem: state.problem, loading: state.loading, reload };
}
