import { call, type PastQuery, type Query } from "./api.ts";
import { failureOf, when } from "./app.ts";
import { fill, h } from "./dom.ts";
import { t, word } from "./i18n.ts";
import { own } from "./own.ts";

const OVER = new Set(["completed", "failed", "timed_out", "canceled", "rejected"]);

const CUT = new Set(["name", "sql"]); // kinds of cells that are cut to their width; the rest is told on hover

type Cell = string | HTMLElement;

function table(heads: string[], rows: Cell[][], kinds: string[]): HTMLElement {
  if (!rows.length) return h("p", { class: "none" }, t("none"));
  const cell = (c: Cell, i: number): HTMLElement => h("td", { class: kinds[i] || null, title: CUT.has(kinds[i]!) && typeof c === "string" ? c : null }, c);
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ...heads.map((x, i) => h("th", { scope: "col", class: kinds[i] || null }, x || h("span", { class: "unseen" }, t("actions")))))),
    h("tbody", {}, ...rows.map((r) => h("tr", {}, ...r.map(cell)))),
  );
}

/** Draws anew; the button that has the focus keeps it. */
function redraw(element: HTMLElement, child: HTMLElement): void {
  const held = element.contains(document.activeElement) ? document.activeElement?.getAttribute("data-key") : null;
  fill(element, child);
  if (held) element.querySelector<HTMLElement>(`[data-key="${CSS.escape(held)}"]`)?.focus();
}

const failed = (e: unknown): HTMLElement => h("p", { class: "problem", role: "alert" }, failureOf(e).message);
const took = (ms: number): string => `${ms} ${t("ms")}`;

/** What runs now, with a way to end it. */
export class Live {
  readonly element = h("div", { class: "scroll", tabindex: 0, "aria-label": t("live") });
  constructor(private source: (id?: string) => string) {}

  async draw(): Promise<void> {
    try {
      const d = await call<{ queries: Query[] }>("GET", "/api/v1/queries");
      const rows = d.queries.filter((q) => !OVER.has(q.state)).map((q) => this.row(q));
      const heads = [t("state"), t("who"), t("source"), t("statement"), t("rows"), t("took"), ""];
      redraw(this.element, table(heads, rows, ["", "name", "name", "sql", "number", "number", ""]));
    } catch (e) {
      redraw(this.element, failed(e));
    }
  }

  private row(q: Query): Cell[] {
    const kill = (): void => void call("DELETE", "/api/v1/queries/" + q.id).catch(() => undefined).then(() => this.draw());
    const button = h("button", { click: kill, "data-key": q.id, "aria-label": `${t("kill")} ${q.id}` }, t("kill"));
    return [word("state", q.state), q.principal, this.source(q.dataSourceId), q.sql ?? "", String(q.rows), took(q.elapsedMs), button];
  }
}

/** What ran before. The statements are those of this tab: the gateway keeps fingerprints only. */
export class History {
  readonly element = h("div", { class: "scroll", tabindex: 0, "aria-label": t("history") });
  constructor(
    private source: (id?: string) => string,
    private open: (sql: string) => void,
  ) {}

  async draw(): Promise<void> {
    try {
      const d = await call<{ queries: PastQuery[] }>("GET", "/api/v1/query/history?limit=200");
      const kept = own.all();
      const heads = [t("started"), t("who"), t("source"), t("outcome"), t("rows"), t("took"), t("statement"), ""];
      const kinds = ["time", "name", "name", "", "number", "number", "sql", ""];
      redraw(this.element, table(heads, d.queries.map((q) => this.row(q, kept[q.queryId])), kinds));
    } catch (e) {
      redraw(this.element, failed(e));
    }
  }

  private row(q: PastQuery, mine?: string): Cell[] {
    const words = !q.code || q.code === "OK" ? [] : [h("br"), h("code", {}, q.code)];
    const outcome = h("span", { class: "outcome " + q.status }, word("outcome", q.status), ...words);
    const again = mine ? h("button", { click: () => this.open(mine), "data-key": q.queryId }, t("reopen")) : "";
    return [when(q.startedAt), q.principal, this.source(q.dataSourceId), outcome, String(q.rows), took(q.elapsedMs), mine ?? "", again];
  }
}
