// Names the settings that act at once, as people read them; what they may be is the gateway's to say.

/** @typedef {{path: string, label: string, kind: 'number' | 'span' | 'size' | 'yes' | string[], unit?: string, hint?: string}} Hot */

/** @type {{title: string, about: string, settings: Hot[]}[]} */
export const HOT = [
  {
    title: 'Taking on',
    about: 'How much at once, and what happens to the rest.',
    settings: [
      { path: 'limits.max_in_flight', label: 'In flight at most', kind: 'number', unit: 'requests' },
      { path: 'limits.queue_max', label: 'Waiting at most', kind: 'number', unit: 'requests' },
      { path: 'limits.queue_bytes_max', label: 'Bodies waiting at most', kind: 'size' },
      { path: 'limits.queue_policy', label: 'When the queue is full', kind: ['reject', 'drop_lowest', 'passthrough'] },
      { path: 'limits.queue_timeout', label: 'Longest wait', kind: 'span' },
      { path: 'limits.low_timeout', label: 'Longest wait, class low', kind: 'span' },
      { path: 'limits.ageing', label: 'Lifted by a class after', kind: 'span' },
      { path: 'limits.rate_window', label: 'Rates are kept by', kind: ['minute', 'bucket'] },
      { path: 'limits.body_max', label: 'Longest body', kind: 'size' },
      { path: 'limits.image_body_max', label: 'Longest body with pictures', kind: 'size' },
    ],
  },
  {
    title: 'Keepalive',
    about: 'What keeps proxies from cutting answers that are silent for long; 0s is off.',
    settings: [
      { path: 'keepalive.stream', label: 'In streams, every', kind: 'span' },
      { path: 'keepalive.nonstream', label: 'In plain answers, every', kind: 'span' },
    ],
  },
  {
    title: 'Logging',
    about: 'Secrets and prompts are never logged, at any level.',
    settings: [{ path: 'log.level', label: 'Level', kind: ['error', 'warn', 'info', 'debug', 'trace'] }],
  },
  {
    title: 'Routing',
    about: 'Where a request goes when several backends could take it.',
    settings: [
      { path: 'routing.spill', label: 'A later pool is used', kind: ['immediate', 'wait'] },
      { path: 'routing.emergency_fraction', label: 'Emergency reserve', kind: 'number', hint: 'A share of each backend’s rate; 0 is off.' },
      { path: 'affinity.cold_cache', label: 'Price of a cold cache', kind: 'span' },
      { path: 'affinity.enabled', label: 'Keep conversations on one backend', kind: 'yes' },
    ],
  },
  {
    title: 'Repeating',
    about: 'Another attempt, before anything was sent to the client.',
    settings: [
      { path: 'retry.attempts_max', label: 'Attempts at most', kind: 'number', hint: 'The first included.' },
      { path: 'retry.limited_max', label: '429s that use up no attempt', kind: 'number' },
      { path: 'retry.budget_percent', label: 'Repeats may add', kind: 'number', unit: '%' },
      { path: 'hedging.quantile', label: 'A stream is late beyond', kind: 'number', hint: 'The share of streams that begin sooner.' },
      { path: 'hedging.spend_max_percent', label: 'Second attempts may add', kind: 'number', unit: '%' },
      { path: 'hedging.enabled', label: 'Race a late stream with a second attempt', kind: 'yes' },
    ],
  },
  {
    title: 'Cooldown',
    about: 'How long a backend rests after saying 429.',
    settings: [
      { path: 'cooldown.base', label: 'After the first', kind: 'span' },
      { path: 'cooldown.max', label: 'At most', kind: 'span' },
      { path: 'cooldown.growth', label: 'Growth', kind: ['exponential', 'linear'] },
      { path: 'cooldown.retry_after', label: 'Retry-After', kind: ['provider', 'longest'] },
      { path: 'cooldown.precheck', label: 'No emergency with less left than', kind: 'span' },
    ],
  },
  {
    title: 'Breaker',
    about: 'When a backend that keeps failing is left alone.',
    settings: [
      { path: 'breaker.failures', label: 'Failures in a row', kind: 'number' },
      { path: 'breaker.share_percent', label: 'Or share of failures', kind: 'number', unit: '%' },
      { path: 'breaker.calls_min', label: 'Of at least so many calls', kind: 'number' },
      { path: 'breaker.window', label: 'Within', kind: 'span' },
      { path: 'breaker.base', label: 'Left alone for', kind: 'span' },
      { path: 'breaker.max', label: 'And at most for', kind: 'span' },
    ],
  },
  {
    title: 'Adaptive rates',
    about: 'How rates follow what providers say and refuse.',
    settings: [
      { path: 'adaptive.mode', label: 'Mode', kind: ['off', 'headers', 'retreat', 'learned'] },
      { path: 'adaptive.retreat.window', label: 'Count 429s over', kind: 'span' },
      { path: 'adaptive.retreat.enter_percent', label: 'Retreat at', kind: 'number', unit: '%' },
      { path: 'adaptive.retreat.again_percent', label: 'Go on at', kind: 'number', unit: '%' },
      { path: 'adaptive.retreat.factor_percent', label: 'Each step leaves', kind: 'number', unit: '%' },
      { path: 'adaptive.retreat.floor_rpm', label: 'Lowest rate', kind: 'number', unit: '/min' },
      { path: 'adaptive.retreat.calm_percent', label: 'Calm under', kind: 'number', unit: '%' },
      { path: 'adaptive.retreat.calm_for', label: 'Calm for', kind: 'span' },
      { path: 'adaptive.retreat.step_rpm', label: 'Comes back each second', kind: 'number', unit: '/min' },
      { path: 'adaptive.retreat.alert_percent', label: 'Alert above', kind: 'number', unit: '%' },
      { path: 'adaptive.retreat.samples_min', label: 'Judge no fewer answers than', kind: 'number' },
    ],
  },
  {
    title: 'Capturing',
    about: 'What is kept of requests that a rule asks to capture.',
    settings: [
      { path: 'captures.body_max', label: 'Of each body at most', kind: 'size' },
      { path: 'captures.keep_for', label: 'Kept for', kind: 'span' },
      { path: 'captures.bytes_max', label: 'All together at most', kind: 'size' },
    ],
  },
  {
    title: 'Probing',
    about: 'When idle backends are asked how they are.',
    settings: [
      { path: 'probe.interval', label: 'Every', kind: 'span' },
      { path: 'probe.timeout', label: 'An answer may take', kind: 'span' },
      { path: 'probe.enabled', label: 'Probe backends', kind: 'yes' },
    ],
  },
];
