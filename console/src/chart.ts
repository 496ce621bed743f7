import { fill, h } from "./dom.ts";
import { t } from "./i18n.ts";
import type { Column } from "./stream.ts";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 64; // px, for the scale's numbers
const TOP = 14;
const UNDER = 56;
const RIGHT = 12;
const MOST = { bars: 200, line: 2000 };

type Kind = keyof typeof MOST;

function el(name: string, attributes: Record<string, string | number>): SVGElement {
  const e = document.createElementNS(SVG, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, String(v));
  return e;
}

function text(x: number, y: number, anchor: string, words: string): SVGElement {
  const e = el("text", { x, y, "text-anchor": anchor });
  e.textContent = words;
  return e;
}

const isNumber = (v: unknown): boolean => v === null || (v !== "" && typeof v !== "object" && Number.isFinite(Number(v)));

/** Columns whose first values are all numbers. */
export function numericColumns(columns: Column[], rows: unknown[][]): number[] {
  const some = rows.slice(0, 50);
  return columns.flatMap((_, i) => (some.length && some.every((r) => isNumber(r[i])) && some.some((r) => r[i] !== null) ? [i] : []));
}

/** The first column that is no number names the points, the first that is one gives their height; null: none does. */
export function chartColumns(columns: Column[], rows: unknown[][]): { label: number; value: number } | null {
  const numeric = numericColumns(columns, rows);
  const label = columns.findIndex((_, i) => !numeric.includes(i));
  const value = numeric.find((i) => i !== label);
  if (value === undefined) return null;
  return { label: label >= 0 ? label : value === 0 ? -1 : 0, value };
}

/** Round numbers that hold all values: 0, 20, 40, ... */
export function scale(low: number, high: number): number[] {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / 4;
  const ten = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * ten).find((s) => s >= raw * 0.999)!;
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function draw(columns: Column[], rows: unknown[][], label: number, value: number, kind: Kind, width: number, height: number): SVGElement {
  const some = rows.slice(0, MOST[kind]);
  const values = some.map((r) => Number(r[value] ?? 0));
  const marks = scale(Math.min(0, ...values), Math.max(0, ...values));
  const low = marks[0]!;
  const high = marks[marks.length - 1]!;
  const w = (width - LEFT - RIGHT) / Math.max(1, some.length);
  const plot = height - UNDER - TOP;
  const x = (i: number): number => LEFT + (i + 0.5) * w;
  const y = (v: number): number => TOP + ((high - v) / (high - low)) * plot;
  const name = (i: number): string => (label < 0 ? String(i + 1) : String(some[i]![label] ?? "NULL"));
  const short = (s: string): string => (s.length > 12 ? s.slice(0, 11) + "…" : s);
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": columns[value]!.name });
  const number = Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 2 });
  for (const v of marks) {
    svg.append(el("line", { x1: LEFT, x2: width - RIGHT, y1: y(v), y2: y(v), class: "rule" }));
    svg.append(text(LEFT - 8, y(v) + 4, "end", number.format(v)));
  }
  if (kind === "line") svg.append(el("polyline", { points: values.map((v, i) => `${x(i)},${y(v)}`).join(" "), class: "path" }));
  const every = Math.ceil(some.length / Math.max(1, Math.floor((width - LEFT) / 80)));
  some.forEach((r, i) => {
    const v = values[i]!;
    const shape =
      kind === "bars"
        ? el("rect", { x: x(i) - w * 0.36, width: Math.max(1, w * 0.72), y: Math.min(y(v), y(0)), height: Math.max(1, Math.abs(y(v) - y(0))), rx: Math.min(3, w / 5), class: "bar" })
        : el("circle", { cx: x(i), cy: y(v), r: some.length > 100 ? 1.5 : 3, class: "bar" });
    const title = el("title", {});
    title.textContent = `${name(i)}: ${r[value] ?? "NULL"}`;
    shape.append(title);
    svg.append(shape);
    if (i % every === 0) svg.append(text(x(i), height - UNDER + 18, "middle", short(name(i))));
  });
  return svg;
}

/** A chart with a choice of what is drawn. */
export function chart(columns: Column[], rows: unknown[][]): HTMLElement {
  const pick = chartColumns(columns, rows);
  if (!pick) return h("p", { class: "none" }, t("noChart"));
  let kind: Kind = "bars";
  const picture = h("div", { class: "picture" });
  const redraw = (): void => {
    const { clientWidth: width, clientHeight: height } = picture;
    if (width > LEFT + RIGHT && height > TOP + UNDER) fill(picture, draw(columns, rows, pick.label, pick.value, kind, width, height)); // else out of the page
  };
  new ResizeObserver(redraw).observe(picture); // the first time as soon as it is in the page
  const choice = (label: string, all: [number, string][], now: number, then: (n: number) => void): HTMLElement => {
    const options = all.map(([v, name]) => h("option", { value: v, selected: v === now }, name));
    const select: HTMLSelectElement = h("select", { change: () => (then(Number(select.value)), redraw()) }, ...options);
    return h("label", {}, label + " ", select);
  };
  const names: [number, string][] = [[-1, "#"], ...columns.map((c, i): [number, string] => [i, c.name])];
  const numbers = numericColumns(columns, rows).map((i): [number, string] => [i, columns[i]!.name]);
  const kinds: [number, string][] = [[0, t("bars")], [1, t("line")]];
  return h(
    "div",
    { class: "charted" },
    h(
      "div",
      { class: "bar" },
      choice(t("chart"), kinds, 0, (n) => (kind = n ? "line" : "bars")),
      choice(t("value"), numbers, pick.value, (n) => (pick.value = n)),
      choice(t("by"), names, pick.label, (n) => (pick.label = n)),
      rows.length > MOST[kind] && h("span", { class: "hint" }, `${t("first")} ${MOST.bars} / ${MOST.line}`),
    ),
    picture,
  );
}
