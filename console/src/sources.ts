import { call, type Source, type Status, type TableInfo, type Tested } from "./api.ts";
import { failureOf, rove } from "./app.ts";
import { fill, h } from "./dom.ts";
import { t, type Key } from "./i18n.ts";

const KEPT = "nexus-source";
const MOST = 500; // in the list at a time; the filter finds the rest

/** The side: data sources with their health, the chosen one's state and actions, its tables and columns. */
export class Sources {
  readonly element: HTMLElement;
  onChoose: (s: Source, tables: TableInfo[]) => void = () => {};
  onColumn: (name: string) => void = () => {};
  private chosen?: Source;
  private list = h("ul", { class: "sources", role: "listbox", "aria-label": t("sources") });
  private empty = h("p", { class: "none" });
  private card = h("div", { class: "source-card" });
  private said = h("p", { class: "said", role: "status" });
  private tables = h("div", { class: "tables" });
  private filter = h("input", { type: "search", placeholder: t("filter"), "aria-label": t("filter"), input: () => this.draw() });

  constructor(
    private sources: Source[],
    private rights: Set<string>,
  ) {
    this.element = h(
      "aside",
      { "aria-label": t("sources") },
      h("h2", {}, t("sources")),
      sources.length > 7 && this.filter,
      this.list,
      this.empty,
      this.card,
      this.said,
      h("h2", {}, t("tables")),
      this.tables,
    );
  }

  begin(): void {
    const kept = this.sources.find((s) => s.id === sessionStorage.getItem(KEPT)) ?? this.sources[0];
    this.draw();
    if (kept) void this.choose(kept);
  }

  name(id?: string): string {
    return this.sources.find((s) => s.id === id)?.name ?? "";
  }

  /** The list anew, as the gateway has it now. */
  async refresh(): Promise<void> {
    try {
      this.sources = (await call<{ dataSources: Source[] }>("GET", "/api/v1/datasources?limit=1000")).dataSources;
    } catch {
      return; /* the next one may do better */
    }
    if (!this.chosen && this.sources[0]) return this.begin(); // the first of all is there now
    this.chosen = this.sources.find((s) => s.id === this.chosen?.id);
    this.draw();
    void this.drawCard();
  }

  private label(s: Source): string {
    if (!s.driverBuilt) return t("notBuilt");
    return t((s.status === "active" ? `health_${s.health ?? "unknown"}` : `status_${s.status}`) as Key);
  }

  private draw(): void {
    const wanted = this.filter.value.toLowerCase();
    const some = this.sources.filter((s) => (s.name + s.type + s.description).toLowerCase().includes(wanted)).slice(0, MOST);
    const held = this.list.contains(document.activeElement);
    const first = some.find((s) => s.id === this.chosen?.id) ?? some[0];
    const all: HTMLElement[] = some.map((s) => this.line(s, s === first, () => all));
    fill(this.list, ...all);
    if (held) all[some.indexOf(first!)]?.focus();
    this.list.hidden = !some.length;
    fill(this.empty, some.length ? "" : this.sources.length ? t("none") : t("noSources"));
  }

  private line(s: Source, reachable: boolean, all: () => HTMLElement[]): HTMLElement {
    const here = s.id === this.chosen?.id;
    const key = (e: Event): void => {
      if (rove(all(), e, "ArrowUp", "ArrowDown") || !["Enter", " "].includes((e as KeyboardEvent).key)) return;
      e.preventDefault();
      void this.choose(s);
    };
    return h(
      "li",
      {
        role: "option",
        tabindex: reachable ? 0 : -1,
        "aria-selected": here ? "true" : "false",
        title: s.description || this.label(s),
        click: () => void this.choose(s),
        keydown: key,
      },
      h("span", { class: "dot " + (!s.driverBuilt ? "unknown" : s.status === "active" ? (s.health ?? "unknown") : s.status), "aria-hidden": "true" }),
      h("span", { class: "name" }, s.name),
      h("span", { class: "kind" }, s.type),
      h("span", { class: "unseen" }, this.label(s)),
    );
  }

  private async choose(s: Source): Promise<void> {
    this.chosen = s;
    sessionStorage.setItem(KEPT, s.id);
    fill(this.said);
    this.draw();
    void this.drawCard();
    fill(this.tables, h("p", { class: "none" }, t("loading") + "…"));
    this.onChoose(s, []);
    try {
      const d = await call<{ tables: TableInfo[] }>("GET", `/api/v1/datasources/${s.id}/schema?columns=true&limit=2000`);
      if (this.chosen?.id !== s.id) return;
      this.onChoose(s, d.tables);
      this.drawTables(d.tables);
    } catch (e) {
      if (this.chosen?.id === s.id) fill(this.tables, h("p", { class: "none" }, failureOf(e).message));
    }
  }

  /* -- the chosen one: how it is, and what may be done with it -- */

  private async drawCard(): Promise<void> {
    const s = this.chosen;
    if (!s) return fill(this.card);
    const words: string[] = [this.label(s)];
    try {
      const d = await call<Status>("GET", `/api/v1/datasources/${s.id}/status`);
      if (this.chosen?.id !== s.id) return;
      if (d.lastProbe) words.push(`${d.lastProbe.latencyMs.toFixed(1)} ${t("ms")}`);
      words.push(`${d.pool.open}/${d.pool.max} ${t("connections")}`);
    } catch {
      /* what the list says is enough */
    }
    const on = s.status === "inactive" ? "activate" : "deactivate";
    fill(
      this.card,
      s.description && h("p", {}, s.description),
      h("p", { class: "kind" }, words.join(" · ")),
      h(
        "div",
        { class: "doings" },
        this.rights.has("test") && h("button", { click: () => void this.test(s) }, t("test")),
        this.rights.has("edit") && h("button", { click: () => void this.turn(s, on) }, t(on)),
      ),
    );
  }

  private async test(s: Source): Promise<void> {
    fill(this.said, t("loading") + "…");
    let text: string;
    try {
      const d = await call<Tested>("POST", `/api/v1/datasources/${s.id}/test`);
      text = d.ok ? `${t("answers")} ${d.latencyMs.toFixed(1)} ${t("ms")}` : `${d.error?.code ?? ""} ${d.error?.message ?? ""}`;
    } catch (e) {
      text = failureOf(e).message;
    }
    await this.refresh();
    if (this.chosen?.id === s.id) fill(this.said, text);
  }

  private async turn(s: Source, verb: "activate" | "deactivate"): Promise<void> {
    let text = "";
    try {
      await call("POST", `/api/v1/datasources/${s.id}/${verb}`);
    } catch (e) {
      text = failureOf(e).message;
    }
    await this.refresh();
    if (this.chosen?.id === s.id) fill(this.said, text);
  }

  private drawTables(tables: TableInfo[]): void {
    fill(
      this.tables,
      ...tables.slice(0, MOST).map((table) =>
        h(
          "details",
          {},
          h("summary", { title: table.comment ?? "" }, h("span", { class: "name" }, table.name), h("span", { class: "kind" }, table.schema ?? "")),
          ...(table.columns ?? []).map((c) => {
            const native = c.nativeType ?? c.type ?? "";
            return h(
              "button",
              { class: "column", title: native, click: () => this.onColumn(c.name) },
              h("span", { class: "name" }, c.name),
              h("span", { class: "kind" }, native.toLowerCase()),
            );
          }),
        ),
      ),
    );
    if (!tables.length) fill(this.tables, h("p", { class: "none" }, t("none")));
  }
}
