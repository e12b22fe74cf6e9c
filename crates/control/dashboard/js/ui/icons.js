// Draws every icon of the dashboard; each is decoration beside words, or named by the control it stands in.
import { html } from '../lib.js';

/** Paths on a grid of 24. @type {Record<string, string>} */
const SHAPES = {
  overview: 'M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z',
  backends: 'M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01',
  models: 'M12 3 4 7.5v9L12 21l8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9',
  keys: 'M15 9a5 5 0 1 1-4.6-3M10.5 11.5 21 3m-4 3 2.5 2.5',
  usage: 'M4 20V10M10 20V4M16 20v-7M21 20H3',
  requests: 'M4 6h16M4 12h16M4 18h10',
  events: 'M12 7v5l3 2M21 12a9 9 0 1 1-9-9 9 9 0 0 1 9 9z',
  captures: 'M4 8h3l2-3h6l2 3h3v11H4zM12 16a3 3 0 1 0 0-6 3 3 0 0 0 0 6z',
  audit: 'M12 3l8 3v6c0 4.5-3.4 8-8 9-4.6-1-8-4.5-8-9V6zM9 12l2 2 4-4',
  instances: 'M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4',
  playground: 'M5 5h14v11H9l-4 3.5z',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 7a2 2 0 1 0 .01 0M9 17a2 2 0 1 0 .01 0',
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6 6 18',
  menu: 'M4 7h16M4 12h16M4 17h16',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M5 13l4 4L19 7',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13',
  refresh: 'M20 12a8 8 0 1 1-2.4-5.7M20 4v4h-4',
  play: 'M7 5l12 7-12 7z',
  stop: 'M7 7h10v10H7z',
  search: 'M20 20l-4.5-4.5M17 10.5a6.5 6.5 0 1 1-13 0 6.5 6.5 0 0 1 13 0z',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  system: 'M4 5h16v11H4zM9 20h6M12 16v4',
  warning: 'M12 4 2.8 20h18.4zM12 10v4M12 17h.01',
  note: 'M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0zM12 11v5M12 8h.01',
  edit: 'M4 20h4L19 9l-4-4L4 16z',
  rotate: 'M4 12a8 8 0 0 1 13.7-5.6L20 9M20 4v5h-5M20 12a8 8 0 0 1-13.7 5.6L4 15M4 20v-5h5',
  pulse: 'M3 12h4l3 8 4-16 3 8h4',
  leave: 'M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  empty: 'M4 13l3-8h10l3 8v6H4zM4 13h5l1 2h4l1-2h5',
  arrow: 'M9 6l6 6-6 6',
  down: 'M6 9l6 6 6-6',
  filter: 'M4 6h16M7 12h10M10 18h4',
};

/** @param {{name: string}} props */
export function Icon({ name }) {
  return html`<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round"
    stroke-linejoin="round" aria-hidden="true"><path d=${SHAPES[name] ?? ''} /></svg>`;
}
