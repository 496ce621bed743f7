import { h, fill } from "./dom.ts";
import { cellText, visible } from "./format.ts";
import type { Column } from "./stream.ts";

const ROW = 28; // px; the style sheet says the same
const MORE = 12;
const TALL = 8_000_000; // px; browsers stop to scroll well beyond: longer results are scrolled in proportion
const NUMBERS = /^(u?int\d*|float\d*|decimal.*|double|real|number)/;

/** A result of any length: only the rows in sight are in the document. */
export class Grid {
  readonly element: HTMLElement;
  columns: Column[] = [];
  rows: unknown[][] = [];
  onOpen: (row: number, column: number) => void = () => {};
  private widths: number[] = [];
  private head = h("div", { class: "grid-head", role: "row" });
  private body = h("div", { class: "grid-body", role: "rowgroup" });
  private space = h("div", { class: "grid-space", role: "presentation" });
  private at = { row: 0, column: 0 };
  private drawn = "";
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
    this.element.setAttribute("aria-colcount", String(columns.length));
    this.drawHead();
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
      if (this.wider) this.drawHead();
      this.draw(this.wider);
      this.wider = false;
    });
  }

  private scale(): number {
    const full = this.rows.length * ROW;
    return full > TALL ? full / TALL : 1;
  }

  private template(): string {
    return `${Math.max(48, 24 + 8 * String(this.rows.length).length)}px ` + this.widths.map((w) => Math.round(w) + "px").join(" ");
  }

  private drawHead(): void {
    this.head.style.gridTemplateColumns = this.template();
    fill(
      this.head,
      h("div", { class: "cell num", role: "columnheader" }, "#"),
      ...this.columns.map((c, i) => {
        const grip = h("span", { class: "grip", "aria-hidden": "true" });
        grip.addEventListener("pointerdown", (e) => this.resize(e, i));
        return h("div", { class: "cell", role: "columnheader", title: c.nativeType ?? c.type }, h("b", {}, c.name), h("i", {}, c.type), grip);
      }),
    );
  }

  private resize(e: PointerEvent, column: number): void {
    e.preventDefault();
    const from = e.clientX;
    const before = this.widths[column] ?? 100;
    const move = (m: PointerEvent): void => {
      this.widths[column] = Math.max(50, before + m.clientX - from);
      this.drawHead();
      this.draw(true);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", () => removeEventListener("pointermove", move), { once: true });
  }

  private draw(force: boolean): void {
    const k = this.scale();
    this.space.style.height = Math.min(TALL, this.rows.length * ROW) + "px";
    const top = this.element.scrollTop * k;
    const [first, last] = visible(top, this.element.clientHeight, ROW, this.rows.length, MORE);
    const now = `${first} ${last}`;
    if (!force && now === this.drawn) return;
    this.drawn = now;
    this.element.setAttribute("aria-rowcount", String(this.rows.length));
    const template = this.template();
    const shown: HTMLElement[] = [this.space];
    for (let r = first; r < last; r++) shown.push(this.drawRow(r, template, r * ROW - top + this.element.scrollTop));
    this.body.replaceChildren(...shown);
    this.mark();
  }

  private drawRow(r: number, template: string, y: number): HTMLElement {
    const row = h("div", { class: r % 2 ? "row odd" : "row", role: "row", "aria-rowindex": r + 1 }, h("div", { class: "cell num", role: "rowheader" }, r + 1));
    row.style.gridTemplateColumns = template;
    row.style.transform = `translateY(${y}px)`;
    this.columns.forEach((c, i) => {
      const v = this.rows[r]![i];
      const nested = typeof v === "object" && v !== null;
      const kind = v === null ? " null" : nested ? " nested" : NUMBERS.test(c.type) || typeof v === "number" ? " number" : "";
      const text = cellText(v);
      const cell = h("div", { class: "cell" + kind, role: "gridcell", "aria-colindex": i + 1 }, text.length > 400 ? text.slice(0, 400) + "…" : text);
      row.append(cell);
    });
    return row;
  }

  private go(row: number, column: number): void {
    this.at = { row: Math.max(0, Math.min(this.rows.length - 1, row)), column: Math.max(0, Math.min(this.columns.length - 1, column)) };
    const k = this.scale();
    const top = (this.at.row * ROW) / k;
    const view = this.element.clientHeight - 44;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + ROW > this.element.scrollTop + view) this.element.scrollTop = top + ROW - view;
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
    for (const e of this.body.querySelectorAll(".here")) e.classList.remove("here");
    const row = this.body.querySelector(`[aria-rowindex="${this.at.row + 1}"]`);
    row?.querySelector(`[aria-colindex="${this.at.column + 1}"]`)?.classList.add("here");
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
    if ((e.ctrlKey || e.metaKey) && e.key === "c" && this.rows.length) {
      void navigator.clipboard?.writeText(cellText(this.rows[row]?.[column]));
      return;
    }
    const move = moves[e.key];
    if (!move || !this.rows.length) return;
    e.preventDefault();
    move();
  }
}
