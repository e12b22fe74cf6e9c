// What the pages say in Simplified Chinese, by the English text; the words are those of ARCHITECTURE.md's lexicon.

/** @type {Record<string, string>} */
export const CHINESE = {};
