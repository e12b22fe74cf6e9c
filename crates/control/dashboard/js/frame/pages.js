// Lists the pages; each is one file, and the first entry is shown at `/dashboard`.
import { Overview } from '../pages/overview.js';
import { Backends } from '../pages/backends.js';
import { Requests } from '../pages/requests.js';
import { Events } from '../pages/events.js';

export const GROUPS = [
  {
    title: 'Watch',
    pages: [
      { path: '', title: 'Overview', icon: 'overview', view: Overview },
      { path: 'requests', title: 'Requests', icon: 'requests', view: Requests },
      { path: 'events', title: 'Cooldowns & events', icon: 'events', view: Events },
    ],
  },
  {
    title: 'Serve',
    pages: [
      { path: 'backends', title: 'Backends', icon: 'backends', view: Backends },
    ],
  },
];

export const PAGES = GROUPS.flatMap((group) => group.pages);
