import type { Column } from "./stream.ts";

const SVG = "http://www.w3.org/2000/svg";

function el(name: string, attributes: Record<string, string | number>): SVGElement {
  const e = document.createElementNS(SVG, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, String(v));
  return e;
}

/** The first column that is no number names the bars, the first that is one gives their height; null: none does. */
export function chartColumns(columns: Column[], rows: unknown[][]): { label: number; value: number } | null {
  const numeric = columns.map((_, i) => rows.length > 0 && rows.slice(0, 50).every((r) => r[i] === null || (r[i] !== "" && Number.isFinite(Number(r[i])))));
  const label = numeric.findIndex((n) => !n);
  const value = numeric.findIndex((n, i) => n && i !== label);
  if (value < 0) return null;
  return { label: label < 0 ? (value === 0 ? -1 : 0) : label, value };
}

export function chart(columns: Column[], rows: unknown[][], width: number, height: number): SVGElement | null {
  const pick = chartColumns(columns, rows);
  if (!pick) return null;
  const some = rows.slice(0, 200);
  const values = some.map((r) => Number(r[pick.value] ?? 0));
  const top = Math.max(0, ...values);
  const bottom = Math.min(0, ...values);
  const span = top - bottom || 1;
  const left = 64;
  const under = 56;
  const w = (width - left - 12) / Math.max(1, some.length);
  const plot = height - under - 14;
  const y = (v: number): number => 14 + ((top - v) / span) * plot;
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": `${columns[pick.value]!.name}` });
  for (let i = 0; i <= 4; i++) {
    const v = bottom + (span * i) / 4;
    svg.append(el("line", { x1: left, x2: width - 12, y1: y(v), y2: y(v), class: "rule" }));
    const t = el("text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" });
    t.textContent = Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 }).format(v);
    svg.append(t);
  }
  const every = Math.ceil(some.length / Math.max(1, Math.floor((width - left) / 70)));
  some.forEach((r, i) => {
    const v = values[i]!;
    const bar = el("rect", { x: left + i * w + w * 0.14, width: Math.max(1, w * 0.72), y: Math.min(y(v), y(0)), height: Math.max(1, Math.abs(y(v) - y(0))), rx: Math.min(3, w / 5), class: "bar" });
    const title = el("title", {});
    const name = pick.label < 0 ? String(i + 1) : String(r[pick.label] ?? "");
    title.textContent = `${name}: ${r[pick.value]}`;
    bar.append(title);
    svg.append(bar);
    if (i % every) return;
    const t = el("text", { x: left + i * w + w / 2, y: height - under + 18, "text-anchor": "middle" });
    t.textContent = name.length > 12 ? name.slice(0, 11) + "…" : name;
    svg.append(t);
  });
  return svg;
}
