import { ApiError, call, onExpired, session, type Caller, type Source } from "./api.ts";
import { failureOf, theme } from "./app.ts";
import { Console } from "./console.ts";
import { fill, h } from "./dom.ts";
import { lang, t } from "./i18n.ts";

const app = document.getElementById("app")!;
let shown: Console | undefined;

async function start(): Promise<void> {
  const first = !shown; // else the credential was good before
  shown?.dispose();
  shown = undefined;
  theme();
  lang.set(lang.get());
  try {
    const me = await call<Caller>("GET", "/api/v1/whoami");
    session.belongs(me.name);
    const d = await call<{ dataSources: Source[] }>("GET", "/api/v1/datasources?limit=1000");
    shown = new Console(me, d.dataSources, tools());
    fill(app, shown.element);
    shown.begin();
    onExpired(() => signIn(t("expired")));
  } catch (e) {
    const status = e instanceof ApiError ? e.status : 0;
    if (status === 401) signIn(!session.get() ? "" : first ? t("wrongCredential") : t("expired"));
    else signIn(failureOf(e).message);
  }
}

function signIn(problem: string): void {
  onExpired(() => {});
  shown?.dispose();
  shown = undefined;
  session.set("");
  const field = h("input", {
    type: "password",
    name: "credential",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": t("credential"),
    placeholder: t("credential"),
    required: true,
  });
  const form = h(
    "form",
    { class: "card", submit: (e) => (e.preventDefault(), session.set(field.value.trim()), void start()) },
    h("div", { class: "mark", "aria-hidden": "true" }),
    h("h1", {}, t("title")),
    field,
    h("p", { class: "problem", role: "alert" }, problem),
    h("button", { class: "primary", type: "submit" }, t("signIn")),
    h("p", { class: "hint" }, t("signInHint")),
  );
  fill(app, h("main", { class: "door" }, form, h("footer", {}, tools())));
  field.focus();
}

function tools(): HTMLElement {
  const dark = (): boolean => document.documentElement.dataset["theme"] === "dark";
  const other = lang.get() === "zh" ? "en" : "zh";
  return h(
    "span",
    { class: "tools" },
    h("button", { class: "quiet", type: "button", click: () => theme(dark() ? "light" : "dark") }, t("theme")),
    h("button", { class: "quiet", type: "button", lang: other, click: () => (lang.set(other), void start()) }, t("language")),
    h("a", { class: "quiet", href: "/docs" }, t("docs")),
    session.get() && h("button", { class: "quiet", type: "button", click: () => (sessionStorage.clear(), signIn("")) }, t("signOut")),
  );
}

void start();
