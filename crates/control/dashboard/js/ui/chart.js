// Draws series over time with axes, units and a legend that follows the pointer; it never invents a point.
import { html, useEffect, useMemo, useRef, useState } from '../lib.js';
import uPlot from 'uplot';
import { painted, language } from '../state/preferences.js';
import { t } from '../text/text.js';
import { tick } from '../text/format.js';

/**
 * @typedef {{name: string, swatch: string, values: (number | null)[]}} Series
 * @typedef {{title: any, about?: any, unit: string, xs: number[], series: Series[], grain: 'second' | 'hour' | 'day',
 *   kind?: 'line' | 'area' | 'stack' | 'bars', height?: number, format: (value: number) => string, empty: string,
 *   actions?: any, divisible?: boolean}} ChartProps `xs` in milliseconds; of what is not `divisible` no axis shows a part.
 */

/** @param {string} role A colour role of tokens.css, such as `--grid`. */
const colour = (role) => getComputedStyle(document.documentElement).getPropertyValue(role).trim();
/** @param {string} swatch */
function colourOf(swatch) {
  return colour(/^\d$/.test(swatch) ? `--series-${swatch}` : `--${swatch}-fill`);
}

/** Each series on top of those before it, the topmost first, as they are painted. @param {Series[]} series */
function piled(series) {
  /** @type {number[]} */
  let below = [];
  const layers = series.map((one) => {
    below = one.values.map((value, n) => (below[n] ?? 0) + (value ?? 0));
    return below;
  });
  return layers.reverse();
}

/** How far labels must be apart: those of minutes are shorter than those of seconds. @param {string} grain */
function room(grain) {
  if (grain !== 'second') return 84;
  return (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ min, /** @type {number} */ max) => (max - min > 180 ? 46 : 62);
}

/** @param {ChartProps} props @param {boolean} stacked */
function options(props, stacked) {
  const { kind = 'line', grain, format } = props;
  const order = stacked ? [...props.series].reverse() : props.series;
  const axis = { stroke: colour('--ink-3'), font: '11px Inter, system-ui, sans-serif', grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false } };
  const bars = uPlot.paths.bars?.({ size: [0.72, 48], radius: 0.12, align: grain === 'second' ? 0 : 1 });
  return {
    width: 300,
    height: props.height ?? 200,
    padding: /** @type {[number, number, number, number]} */ ([10, 12, 0, 0]),
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (/** @type {uPlot} */ own) => widened(own.data[0], props) },
      y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ max) => /** @type {[number, number]} */ ([0, max > 0 ? max * 1.12 : 1]) },
    },
    axes: [
      { ...axis, size: 30, space: room(grain), values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((at) => tick(at * 1000, grain === 'second' && at % 60 === 0 ? 'hour' : grain)) },
      { ...axis, size: 56, space: 34, ...(!props.divisible && { incrs: WHOLE }), values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((value) => format(value)) },
    ],
    series: [
      {},
      ...order.map((one) => {
        const stroke = colourOf(one.swatch);
        const full = kind === 'bars' || stacked;
        return {
          label: one.name, stroke: kind === 'bars' ? undefined : stroke, width: kind === 'bars' ? 0 : 1.6,
          fill: full ? stroke : kind === 'area' ? `${stroke}24` : undefined,
          paths: kind === 'bars' ? bars : uPlot.paths.linear?.(), points: { show: false },
        };
      }),
    ],
  };
}

/** Steps of an axis over what comes in whole. */
const WHOLE = Array.from({ length: 15 }, (_, n) => [1, 2, 5].map((step) => step * 10 ** n)).flat();

const LIVE_MIN_S = 60;
const BUCKETS_MIN = 12;

/** A few seconds are not drawn as wide as ten minutes, and the last bar has room of its own.
 * @param {ArrayLike<number>} xs @param {ChartProps} props @returns {[number, number]} */
function widened(xs, { grain, kind }) {
  const [min = 0, max = 0] = [xs[0], xs[xs.length - 1]];
  if (grain === 'second') return [Math.min(min, max - LIVE_MIN_S), max];
  const bucket = grain === 'day' ? 86_400 : 3600;
  const first = Math.min(min, max - bucket * (BUCKETS_MIN - 1));
  return kind === 'bars' ? [first, max + bucket] : [first, max];
}

const GAP_MS = 4000;

/** Where nothing was heard for a while, lines break. @param {number[]} xs @param {any[]} columns */
function broken(xs, columns) {
  const cuts = xs.flatMap((at, n) => (n > 0 && at - /** @type {number} */ (xs[n - 1]) > GAP_MS ? [n] : []));
  for (const n of cuts.reverse()) {
    const between = /** @type {number} */ (xs[n - 1]) + 1000;
    xs = [...xs.slice(0, n), between, ...xs.slice(n)];
    columns = columns.map((column) => [...column.slice(0, n), null, ...column.slice(n)]);
  }
  return [xs.map((at) => at / 1000), ...columns];
}

/** @param {ChartProps} props */
export function Chart(props) {
  const { title, about, unit, xs, series, kind = 'line', height = 200, format, empty, actions } = props;
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const [pointed, setPointed] = useState(/** @type {number | null} */ (null));
  const stacked = kind === 'stack' || (kind === 'bars' && series.length > 1);
  const hollow = xs.length === 0 || series.length === 0;
  const look = [painted.value, language.value, kind, props.grain, height, hollow, series.map((one) => one.name + one.swatch).join()].join('|');
  const data = useMemo(
    () => {
      const columns = stacked ? piled(series) : series.map((one) => one.values);
      return /** @type {any} */ (props.grain === 'second' ? broken(xs, columns) : [xs.map((at) => at / 1000), ...columns]);
    },
    [xs, series, stacked],
  );

  useEffect(() => {
    if (!box.current || hollow) return undefined;
    const host = box.current;
    const made = new uPlot({ ...options(props, stacked), hooks: { setCursor: [(/** @type {uPlot} */ own) => setPointed(own.cursor.idx ?? null)] } }, data, host);
    plot.current = made;
    const fit = () => made.setSize({ width: host.clientWidth, height });
    const watcher = new ResizeObserver(fit);
    watcher.observe(host);
    fit();
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [look]);
  useEffect(() => plot.current?.setData(data), [data]);

  const at = pointed !== null && pointed < xs.length ? pointed : xs.length - 1;
  const shown = (/** @type {Series} */ one) => (one.values[at] === null || one.values[at] === undefined ? '–' : format(/** @type {number} */ (one.values[at])));
  const summary = hollow ? empty : series.map((one) => `${one.name}: ${shown(one)} ${unit}`).join(', ');
  return html`<section class="card chart">
    <header><div><h2>${title}</h2>${about && html`<p>${about}</p>`}</div>${actions ?? html`<span class="quiet small">${unit}</span>`}</header>
    ${hollow
      ? html`<div class="hollow" style=${{ height: `${height}px` }}>${empty}</div>`
      : html`<ul class="legend" aria-label=${t('Legend')}>
          ${series.map((one) => html`<li key=${one.name}><i class=${`swatch-${one.swatch}`} />${one.name} <b>${shown(one)}</b></li>`)}
          <li class="quiet">${tick(/** @type {number} */ (xs[at]), props.grain)}</li></ul>
        <div class="canvas"><div ref=${box} role="img" aria-label=${summary} /></div>`}
  </section>`;
}
