/** Statements of this tab by query id, for the history. They end with the tab. */
const KEY = "nexus-own";
const MOST = 200;
const LONGEST = 10_000;

export const own = {
  all(): Record<string, string> {
    try {
      return JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as Record<string, string>;
    } catch {
      return {};
    }
  },
  keep(id: string, text: string): void {
    const all = Object.entries(own.all()).slice(1 - MOST);
    all.push([id, text.slice(0, LONGEST)]);
    try {
      sessionStorage.setItem(KEY, JSON.stringify(Object.fromEntries(all)));
    } catch {
      /* the tab's store is full: the history shows no statement */
    }
  },
};
