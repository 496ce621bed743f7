/**
 * Reads a streamed JSON answer of POST /query while it arrives: the columns as soon as they are there, rows one by
 * one, and what stands behind them at the end. Only the bytes of an unfinished row are kept.
 *
 * (JSON and not NDJSON, because it says the columns and their types before the first row.)
 */
import { Nested } from "./format.ts";

export interface Column {
  name: string;
  type: string;
  nativeType?: string;
  nullable?: boolean;
}
export interface Failure {
  code: string;
  message: string;
  details?: { position?: number; token?: string; [key: string]: unknown };
}
export interface End {
  error?: Failure;
  metadata?: { rowCount?: number; executionTimeMs?: number; hasMore?: boolean; truncated?: boolean; queryId?: string };
}
export interface Sink {
  columns(columns: Column[]): void;
  row(values: unknown[]): unknown;
}

const ROWS = '"rows":[';

/** The values of one row that holds lists or objects. */
function values(row: string): unknown[] {
  const out: unknown[] = [];
  let from = 1;
  let depth = 0;
  for (let i = 1; i < row.length; i++) {
    const c = row[i];
    if (c === '"') while (row[++i] !== '"') i += row[i] === "\\" ? 1 : 0;
    else if (depth === 0 && (c === "," || c === "]")) {
      const text = row.slice(from, i).trim();
      out.push(text[0] === "[" || text[0] === "{" ? new Nested(text) : JSON.parse(text));
      from = i + 1;
    } else if (c === "[" || c === "{") depth++;
    else if (c === "]" || c === "}") depth--;
  }
  return out;
}

export class RowReader {
  private text = "";
  private state: "head" | "rows" | "tail" = "head";
  private scan = 0; // how far of `text` the head's search or the open row was looked at
  private depth = 0;
  private nested = false; // the open row holds a list or an object
  private quoted = false;
  private escaped = false;

  constructor(private sink: Sink) {}

  push(chunk: string): void {
    this.text += chunk;
    if (this.state === "head") this.head();
    if (this.state === "rows") this.rows();
  }

  /** What is left when the stream has ended; a cut stream says so. */
  end(): End {
    const cut: End = { error: { code: "CUT_OFF", message: "The answer broke off." } };
    if (this.state === "rows") return cut;
    // the tail is `],"metadata":{...}},...}`: made whole again with what was consumed
    const text = this.state === "head" ? this.text : '{"data":{"rows":[' + this.text;
    try {
      const doc = JSON.parse(text) as { error?: Failure; data?: { metadata?: End["metadata"] } };
      return { error: doc.error, metadata: doc.data?.metadata };
    } catch {
      return cut;
    }
  }

  private head(): void {
    const at = this.outside(ROWS);
    if (at < 0) return;
    const doc = JSON.parse(this.text.slice(0, at) + '"rows":[]}}') as { data: { columns: Column[] } };
    this.sink.columns(doc.data.columns);
    this.text = this.text.slice(at + ROWS.length);
    this.state = "rows";
    this.scan = 0;
  }

  /** Where `word` stands outside of other strings, or -1. Column names are strings, so this matters. */
  private outside(word: string): number {
    let quoted = false;
    for (let i = 0; i < this.text.length; i++) {
      if (!quoted && this.text.startsWith(word, i)) return i;
      const c = this.text[i];
      if (quoted && c === "\\") i++;
      else if (c === '"') quoted = !quoted;
    }
    return -1;
  }

  private rows(): void {
    const t = this.text;
    let begin = 0;
    let i = this.scan;
    for (; i < t.length; i++) {
      const c = t[i];
      if (this.quoted) {
        if (this.escaped) this.escaped = false;
        else if (c === "\\") this.escaped = true;
        else if (c === '"') this.quoted = false;
      } else if (c === '"') this.quoted = true;
      else if (c === "[" || c === "{") {
        if (this.depth++ === 0) begin = i;
        else this.nested = true;
      } else if (c === "]" || c === "}") {
        if (this.depth === 0) {
          this.text = t.slice(i);
          this.state = "tail";
          return;
        }
        if (--this.depth === 0) {
          const row = t.slice(begin, i + 1);
          this.sink.row(this.nested ? values(row) : (JSON.parse(row) as unknown[]));
          this.nested = false;
          begin = i + 1;
        }
      }
    }
    this.text = t.slice(this.depth ? begin : t.length);
    this.scan = this.text.length;
  }
}
