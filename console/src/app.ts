/** What every view of the console uses: the theme, words for errors and times, files to save. */
import { ApiError } from "./api.ts";
import { h } from "./dom.ts";
import { lang, t } from "./i18n.ts";
import type { Failure } from "./stream.ts";

const THEME_KEY = "nexus-theme";

export function theme(next?: "dark" | "light"): void {
  if (next) localStorage.setItem(THEME_KEY, next);
  const wished = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset["theme"] = localStorage.getItem(THEME_KEY) ?? wished;
}

export function failureOf(e: unknown): Failure {
  return e instanceof ApiError ? e.failure : { code: "UNREACHABLE", message: t("broken") };
}

export function save(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function when(text?: string): string {
  return text ? new Date(text).toLocaleString(lang.get() === "zh" ? "zh-CN" : undefined) : "";
}

/** Moves the focus along the elements of a list or of tabs, as their patterns want it from the keyboard. */
export function rove(all: HTMLElement[], e: Event, before: string, after: string): HTMLElement | undefined {
  const key = (e as KeyboardEvent).key;
  const at = all.indexOf(e.currentTarget as HTMLElement);
  const to = key === after ? at + 1 : key === before ? at - 1 : key === "Home" ? 0 : key === "End" ? all.length - 1 : -1;
  const next = all[to];
  if (!next) return undefined;
  e.preventDefault();
  next.focus();
  return next;
}
