// Lists the pages; each is one file, and the first entry is shown at `/dashboard`.
import { Overview } from '../pages/overview.js';
import { Backends } from '../pages/backends.js';
import { Models } from '../pages/models.js';
import { Keys } from '../pages/keys.js';
import { Usage } from '../pages/usage.js';
import { Requests } from '../pages/requests.js';
import { Events } from '../pages/events.js';
import { Captures } from '../pages/captures.js';
import { Audit } from '../pages/audit.js';
import { Instances } from '../pages/instances.js';
import { Playground } from '../pages/playground.js';
import { Settings } from '../pages/settings.js';

export const GROUPS = [
  {
    title: 'Watch',
    pages: [
      { path: '', title: 'Overview', icon: 'overview', view: Overview },
      { path: 'usage', title: 'Usage', icon: 'usage', view: Usage },
      { path: 'requests', title: 'Requests', icon: 'requests', view: Requests },
      { path: 'events', title: 'Cooldowns & events', icon: 'events', view: Events },
    ],
  },
  {
    title: 'Serve',
    pages: [
      { path: 'backends', title: 'Backends', icon: 'backends', view: Backends },
      { path: 'models', title: 'Models', icon: 'models', view: Models },
      { path: 'instances', title: 'Instances', icon: 'instances', view: Instances },
      { path: 'playground', title: 'Playground', icon: 'playground', view: Playground },
    ],
  },
  {
    title: 'Govern',
    pages: [
      { path: 'keys', title: 'Keys & teams', icon: 'keys', view: Keys },
      { path: 'captures', title: 'Captures', icon: 'captures', view: Captures },
      { path: 'audit', title: 'Audit', icon: 'audit', view: Audit },
      { path: 'settings', title: 'Settings', icon: 'settings', view: Settings },
    ],
  },
];

export const PAGES = GROUPS.flatMap((group) => group.pages);
