// The names of what there is, for fields that ask for one; it holds nothing back from who types another.
import { listIn } from './api.js';
import { useResource } from './resource.js';

/** @param {'backends' | 'keys' | 'models' | 'teams'} kind @param {boolean} [isWanted] @returns {string[]} */
export function useNames(kind, isWanted = true) {
  const list = useResource(isWanted ? `/admin/${kind}` : null);
  return list.value ? listIn(list.value).map((one) => one.name) : [];
}
