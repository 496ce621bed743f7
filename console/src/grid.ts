import { copy, fill, h } from "./dom.ts";
import { cellText, Nested, visible } from "./format.ts";
import type { Column } from "./stream.ts";

const ROW = 28; // px; the style sheet says the same
const MORE = 12; // rows above and below what is in sight
const ASIDE = 2; // columns, likewise
const TALL = 8_000_000; // px; browsers stop to scroll well beyond: longer results are scrolled in proportion
const NUMBERS = /^(u?int\d*|float\d*|decimal.*|double|real|number)/;

/** A result of any length and width: only the rows and columns in sight are in the document. */
export class Grid {
  readonly element: HTMLElement;
  columns: Column[] = [];
  rows: unknown[][] = [];
  onOpen: (row: number, column: number) => void = () => {};
  private widths: number[] = [];
  private edges: number[] = [0]; // where each column begins, and where the last one ends
  private head = h("div", { class: "grid-head", role: "row" });
  private body = h("div", { class: "grid-body", role: "rowgroup" });
  private space = h("div", { class: "grid-space", role: "presentation" });
  private at = { row: 0, column: 0 };
  private drawn = "";
  private columnsDrawn = "";
  private pending = 0;
  private wider = false;
  private fuller = 1000;

  constructor(label: string) {
    this.body.append(this.space);
    const top = h("div", { class: "grid-top", role: "rowgroup" }, this.head);
    this.element = h("div", { class: "grid", role: "grid", tabindex: 0, "aria-label": label }, top, this.body);
    this.element.addEventListener("scroll", () => this.soon(), { passive: true });
    this.element.addEventListener("keydown", (e) => this.key(e));
    this.body.addEventListener("mousedown", (e) => this.pointed(e, (r, c) => this.go(r, c)));
    this.body.addEventListener("dblclick", (e) => this.pointed(e, (r, c) => this.onOpen(r, c)));
    new ResizeObserver(() => this.soon()).observe(this.element);
  }

  clear(columns: Column[]): void {
    this.columns = columns;
    this.rows = [];
    this.fuller = 1000;
    this.widths = columns.map((c) => Math.min(360, Math.max(90, 24 + 8 * Math.max(c.name.length, c.type.length))));
    this.at = { row: 0, column: 0 };
    this.element.scrollTop = 0;
    this.element.scrollLeft = 0;
    this.element.setAttribute("aria-colcount", String(columns.length));
    this.measure();
    this.draw(true);
  }

  push(row: unknown[]): void {
    if (this.rows.length < 60)
      row.forEach((v, i) => {
        const want = Math.min(360, 26 + 7.4 * cellText(v).length);
        if (want > (this.widths[i] ?? 0)) {
          this.widths[i] = want;
          this.wider = true;
        }
      });
    this.rows.push(row);
    if (this.rows.length === this.fuller) {
      this.fuller *= 10; // the numbers of rows are a digit longer from here on
      this.wider = true;
    }
    this.soon();
  }

  /** One drawing a frame, however many rows came. */
  soon(): void {
    this.pending ||= requestAnimationFrame(() => {
      this.pending = 0;
      if (this.wider) this.measure();
      this.draw(this.wider);
      this.wider = false;
    });
  }

  /** How many pixels of the result one of the scroll bar stands for, so that its end is the result's end; and the room. */
  private travel(): { k: number; room: number } {
    const room = Math.max(ROW, this.element.clientHeight - this.head.offsetHeight);
    const full = this.rows.length * ROW;
    return { k: full > TALL ? (full - room) / (TALL - room) : 1, room };
  }

  private measure(): void {
    let edge = Math.max(48, 24 + 8 * String(this.rows.length).length);
    this.edges = [edge, ...this.widths.map((w) => (edge += Math.round(w)))];
  }

  /** The columns in sight, from and to behind the last. */
  private across(): [number, number] {
    const left = this.element.scrollLeft;
    const right = left + this.element.clientWidth;
    let first = 0;
    while (first < this.columns.length && this.edges[first + 1]! < left) first++;
    let last = first;
    while (last < this.columns.length && this.edges[last]! < right) last++;
    return [Math.max(0, first - ASIDE), Math.min(this.columns.length, last + ASIDE)];
  }

  /** The tracks of a row: numbers, what is left out, the columns in sight, what is left out. */
  private template([first, last]: [number, number]): string {
    const e = this.edges;
    const shown = this.columns.slice(first, last).map((_, i) => e[first + i + 1]! - e[first + i]!);
    const left = e[first]! - e[0]!;
    const right = e[e.length - 1]! - e[last]!;
    return [e[0]!, left, ...shown, right].map((w) => w + "px").join(" ");
  }

  private drawHead(window: [number, number], template: string): void {
    this.head.style.gridTemplateColumns = template;
    this.head.hidden = !this.columns.length;
    fill(
      this.head,
      h("div", { class: "cell num", role: "columnheader" }, "#"),
      ...this.columns.slice(...window).map((c, n) => {
        const i = window[0] + n;
        const grip = h("span", { class: "grip", "aria-hidden": "true" });
        grip.addEventListener("pointerdown", (e) => this.resize(e, i));
        const cell = h("div", { class: "cell", role: "columnheader", title: c.nativeType ?? c.type, "aria-colindex": i + 1 }, h("b", {}, c.name), h("i", {}, c.type), grip);
        if (n === 0) cell.style.gridColumnStart = "3";
        return cell;
      }),
    );
  }

  private resize(e: PointerEvent, column: number): void {
    e.preventDefault();
    const from = e.clientX;
    const before = this.widths[column] ?? 100;
    const move = (m: PointerEvent): void => {
      this.widths[column] = Math.max(50, before + m.clientX - from);
      this.measure();
      this.draw(true);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", () => removeEventListener("pointermove", move), { once: true });
  }

  private draw(force: boolean): void {
    const { k, room } = this.travel();
    const full = this.rows.length * ROW;
    this.space.style.height = Math.min(TALL, full) + "px";
    const top = Math.min(this.element.scrollTop * k, Math.max(0, full - room));
    const [first, last] = visible(top, this.element.clientHeight, ROW, this.rows.length, MORE);
    const window = this.across();
    const template = this.template(window);
    const columns = window.join(" ");
    if (force || columns !== this.columnsDrawn) this.drawHead(window, template);
    const now = `${first} ${last} ${columns} ${k === 1 ? 0 : top}`;
    if (!force && now === this.drawn) return;
    this.drawn = now;
    this.columnsDrawn = columns;
    this.element.setAttribute("aria-rowcount", String(this.rows.length));
    const shown: HTMLElement[] = [this.space];
    for (let r = first; r < last; r++) shown.push(this.drawRow(r, window, template, r * ROW - top + this.element.scrollTop));
    this.body.replaceChildren(...shown);
    this.mark();
  }

  private drawRow(r: number, [from, to]: [number, number], template: string, y: number): HTMLElement {
    const row = h("div", { class: r % 2 ? "row odd" : "row", role: "row", "aria-rowindex": r + 1 }, h("div", { class: "cell num", role: "rowheader" }, r + 1));
    row.style.gridTemplateColumns = template;
    row.style.transform = `translateY(${y}px)`;
    for (let i = from; i < to; i++) {
      const c = this.columns[i]!;
      const v = this.rows[r]![i];
      const kind = v === null ? " null" : v instanceof Nested ? " nested" : NUMBERS.test(c.type) || typeof v === "number" ? " number" : "";
      const text = cellText(v);
      const cell = h("div", { class: "cell" + kind, role: "gridcell", "aria-colindex": i + 1 }, text.length > 400 ? text.slice(0, 400) + "…" : text);
      if (i === from) cell.style.gridColumnStart = "3";
      row.append(cell);
    }
    return row;
  }

  private go(row: number, column: number): void {
    this.at = { row: Math.max(0, Math.min(this.rows.length - 1, row)), column: Math.max(0, Math.min(this.columns.length - 1, column)) };
    const { k, room } = this.travel();
    const e = this.element;
    const y = this.at.row * ROW;
    if (y < e.scrollTop * k) e.scrollTop = Math.floor(y / k);
    else if (y + ROW > e.scrollTop * k + room) e.scrollTop = Math.ceil((y + ROW - room) / k);
    const left = (this.edges[this.at.column] ?? 0) - this.edges[0]!; // the numbers' column stays over it
    const right = (this.edges[this.at.column + 1] ?? 0) - e.clientWidth;
    if (e.scrollLeft < right) e.scrollLeft = right;
    if (e.scrollLeft > left) e.scrollLeft = left;
    this.draw(false);
    this.mark();
  }

  private pointed(e: Event, then: (row: number, column: number) => void): void {
    const cell = (e.target as Element).closest("[role=gridcell]");
    const row = cell?.parentElement;
    if (row) then(Number(row.getAttribute("aria-rowindex")) - 1, Number(cell.getAttribute("aria-colindex")) - 1);
  }

  /** Where we are. The cells stay what they are: one that vanished under the pointer would swallow the second click. */
  private mark(): void {
    for (const e of this.body.querySelectorAll(".here")) (e.classList.remove("here"), e.removeAttribute("id"));
    const row = this.body.querySelector(`[aria-rowindex="${this.at.row + 1}"]`);
    const cell = row?.querySelector(`[aria-colindex="${this.at.column + 1}"]`);
    if (!cell) return this.element.removeAttribute("aria-activedescendant");
    cell.classList.add("here");
    cell.id = "here";
    this.element.setAttribute("aria-activedescendant", cell.id);
  }

  private key(e: KeyboardEvent): void {
    const { row, column } = this.at;
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 2);
    const moves: Record<string, () => void> = {
      ArrowDown: () => this.go(row + 1, column),
      ArrowUp: () => this.go(row - 1, column),
      ArrowLeft: () => this.go(row, column - 1),
      ArrowRight: () => this.go(row, column + 1),
      PageDown: () => this.go(row + page, column),
      PageUp: () => this.go(row - page, column),
      Home: () => (e.ctrlKey ? this.go(0, 0) : this.go(row, 0)),
      End: () => (e.ctrlKey ? this.go(this.rows.length - 1, column) : this.go(row, this.columns.length - 1)),
      Enter: () => this.onOpen(row, column),
    };
    if ((e.ctrlKey || e.metaKey) && !e.shiftKey && e.key.toLowerCase() === "c" && this.rows.length) {
      e.preventDefault();
      void copy(cellText(this.rows[row]?.[column]));
      return;
    }
    const move = moves[e.key];
    if (!move || !this.rows.length) return;
    e.preventDefault();
    move();
  }
}
