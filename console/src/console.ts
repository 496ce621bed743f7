import type { Caller, Source } from "./api.ts";
import { rove } from "./app.ts";
import { fill, h } from "./dom.ts";
import { t } from "./i18n.ts";
import { History, Live } from "./queries.ts";
import { Sources } from "./sources.ts";
import { Workbench } from "./workbench.ts";

const TABS = ["queries", "live", "history"] as const;
type Tab = (typeof TABS)[number];
const TABLE_MS = 1500;
const SOURCES_MS = 10_000;

/** The signed-in page: data sources at the side, and one of its tabs. */
export class Console {
  readonly element: HTMLElement;
  private sources: Sources;
  private bench = new Workbench();
  private stage = h("main", { class: "stage" });
  private tabs = h("nav", { class: "tabs", role: "tablist", "aria-label": t("title") });
  private live: Live;
  private history: History;
  private timers: number[] = [];
  private tab: Tab = "queries";
  private escape = (e: KeyboardEvent): void => void (e.key === "Escape" && !e.defaultPrevented && !document.querySelector("dialog[open]") && this.bench.cancel());

  constructor(me: Caller, sources: Source[], tools: HTMLElement) {
    this.sources = new Sources(sources, new Set(me.rights));
    this.sources.onChoose = (s, tables) => this.bench.source(s, tables);
    this.sources.onColumn = (name) => (this.show("queries"), this.bench.insert(name));
    const nameOf = (id?: string): string => this.sources.name(id);
    this.live = new Live(nameOf);
    this.history = new History(nameOf, (sql) => (this.show("queries"), this.bench.set(sql)));
    this.element = h(
      "div",
      { class: "frame" },
      h(
        "header",
        {},
        h("span", { class: "mark", "aria-hidden": "true" }),
        h("h1", {}, t("title")),
        this.tabs,
        h("span", { class: "who", title: t("signedIn") }, h("span", { class: "name" }, me.name), h("span", { class: "role" }, me.role)),
        tools,
      ),
      this.sources.element,
      this.stage,
    );
  }

  /** Once the element is in the page. */
  begin(): void {
    addEventListener("keydown", this.escape);
    const draw = (): void => void (!document.hidden && this.tab !== "queries" && this.table().draw());
    this.timers.push(window.setInterval(draw, TABLE_MS));
    this.timers.push(window.setInterval(() => void (!document.hidden && this.sources.refresh()), SOURCES_MS));
    this.show("queries");
    this.sources.begin();
  }

  dispose(): void {
    removeEventListener("keydown", this.escape);
    for (const id of this.timers) clearInterval(id);
    this.bench.cancel();
  }

  private show(tab: Tab): void {
    this.tab = tab;
    const all: HTMLElement[] = TABS.map((k) =>
      h(
        "button",
        {
          role: "tab",
          "aria-selected": k === tab ? "true" : "false",
          tabindex: k === tab ? 0 : -1,
          click: () => this.show(k),
          keydown: (e) => void rove(all, e, "ArrowLeft", "ArrowRight")?.click(),
        },
        t(k),
      ),
    );
    const held = this.tabs.contains(document.activeElement);
    fill(this.tabs, ...all);
    if (held) all[TABS.indexOf(tab)]!.focus();
    if (tab === "queries") {
      fill(this.stage, this.bench.element);
      if (!held) this.bench.focus();
    } else {
      fill(this.stage, this.table().element);
      void this.table().draw();
    }
  }

  private table(): Live | History {
    return this.tab === "live" ? this.live : this.history;
  }
}
