// Brings the vendored libraries together under one name; it holds no code of the dashboard.
import { h, render, Fragment } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState, useCallback, useId } from 'preact/hooks';
import { signal, computed, effect, batch } from '@preact/signals';
import htm from 'htm';

const html = htm.bind(h);

export { html, render, Fragment, useEffect, useLayoutEffect, useMemo, useRef, useState, useCallback, useId };
export { signal, computed, effect, batch };
