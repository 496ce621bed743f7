const LONG = 1 << 20; // characters; what is longer is shown as it is

/** A list or an object inside of a row, as the source wrote it: to parse it would round its long numbers. */
export class Nested {
  constructor(readonly text: string) {}

  /** Over several lines. Only the space between is changed. */
  indented(): string {
    if (this.text.length > LONG) return this.text;
    const out: string[] = [];
    let depth = 0;
    const line = (): string => "\n" + "  ".repeat(depth);
    for (const [part] of this.text.matchAll(/"(?:[^"\\]|\\.)*"|[[{]\s*[\]}]|[[\]{},:]|[^\s"[\]{},:]+/g)) {
      if (part === "[" || part === "{") (depth++, out.push(part, line()));
      else if (part === "]" || part === "}") (depth--, out.push(line(), part));
      else if (part === ",") out.push(part, line());
      else out.push(part === ":" ? ": " : part);
    }
    return out.join("");
  }
}

/** Values as text, for cells and for files. */
export function cellText(v: unknown): string {
  if (v === null || v === undefined) return "NULL";
  if (v instanceof Nested) return v.text;
  return Object.is(v, -0) ? "-0" : String(v);
}

export function csv(names: string[], rows: unknown[][]): string {
  const one = (v: unknown): string => {
    if (v === null || v === undefined) return "";
    const s = cellText(v);
    return s === "" || /[",\r\n]/.test(s) ? '"' + s.replaceAll('"', '""') + '"' : s;
  };
  return [names, ...rows].map((r) => r.map(one).join(",")).join("\r\n") + "\r\n";
}

/** Names as keys of one object: those that come again get a number. */
export function keys(names: string[]): string[] {
  const seen = new Set(names);
  const used = new Set<string>();
  return names.map((name) => {
    let key = name;
    for (let n = 2; used.has(key); n++) if (!seen.has(`${name}_${n}`)) key = `${name}_${n}`;
    used.add(key);
    return key;
  });
}

/** Objects in the order of the columns, every value as it came. */
export function json(names: string[], rows: unknown[][]): string {
  const heads = keys(names).map((k) => JSON.stringify(k) + ": ");
  const one = (v: unknown): string => (v instanceof Nested || Object.is(v, -0) ? cellText(v) : JSON.stringify(v ?? null));
  return "[" + rows.map((r) => "\n {" + r.map((v, i) => heads[i] + one(v)).join(", ") + "}").join(",") + "\n]\n";
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
