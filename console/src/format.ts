/** Values as text, for cells and for files. */
export function cellText(v: unknown): string {
  if (v === null || v === undefined) return "NULL";
  return typeof v === "object" ? JSON.stringify(v) : String(v);
}

export function csv(names: string[], rows: unknown[][]): string {
  const one = (v: unknown): string => {
    if (v === null || v === undefined) return "";
    const s = typeof v === "object" ? JSON.stringify(v) : String(v);
    return s === "" || /[",\r\n]/.test(s) ? '"' + s.replaceAll('"', '""') + '"' : s;
  };
  return [names, ...rows].map((r) => r.map(one).join(",")).join("\r\n") + "\r\n";
}

export function tsv(rows: unknown[][]): string {
  return rows.map((r) => r.map((v) => (v === null ? "" : cellText(v).replace(/[\t\r\n]/g, " "))).join("\t")).join("\n");
}

export function json(names: string[], rows: unknown[][]): string {
  return JSON.stringify(rows.map((r) => Object.fromEntries(r.map((v, i) => [names[i] ?? `column_${i + 1}`, v]))), null, 1);
}

export function bytes(n: number): string {
  if (n < 1024) return n + " B";
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let i = -1;
  do {
    n /= 1024;
    i++;
  } while (n >= 1024 && i < units.length - 1);
  return n.toFixed(n < 10 ? 1 : 0) + " " + units[i];
}

/** Index into UTF-16 text of a byte offset into its UTF-8 form. */
export function fromBytes(text: string, offset: number): number {
  let at = 0;
  for (let i = 0; i < text.length; ) {
    if (at >= offset) return i;
    const c = text.codePointAt(i)!;
    at += c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    i += c < 0x10000 ? 1 : 2;
  }
  return text.length;
}

/** Rows of a window: which of `total` lie between scroll and scroll + height, with some more on either side. */
export function visible(scroll: number, height: number, rowHeight: number, total: number, more: number): [number, number] {
  const first = Math.max(0, Math.floor(scroll / rowHeight) - more);
  return [Math.min(first, total), Math.min(total, Math.ceil((scroll + height) / rowHeight) + more)];
}
