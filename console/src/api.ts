import { RowReader, type Column, type End, type Failure } from "./stream.ts";

export interface Source {
  id: string;
  name: string;
  type: string;
  description: string;
  status: string;
  health?: string;
  driverBuilt: boolean;
}
export interface Caller {
  name: string;
  role: string;
  rights: string[];
  expiresAt: string | null;
}
export interface Query {
  id: string;
  state: string;
  sql?: string;
  rows: number;
  principal: string;
  elapsedMs: number;
  dataSourceId?: string;
}
export interface PastQuery {
  queryId: string;
  status: string;
  code: string;
  rows: number;
  principal: string;
  startedAt: string;
  elapsedMs: number;
  dataSourceId: string;
}
export interface Status {
  status: string;
  health: string;
  lastProbe: { result: string; latencyMs: number } | null;
  pool: { open: number; active: number; max: number };
  errors: { code: string; message: string }[];
}
export interface Tested {
  ok: boolean;
  latencyMs: number;
  error?: Failure;
}
export interface Judgement {
  valid: boolean;
  errors: Failure[];
  warnings: { rule: string; message: string; position: number; suggestions: string[] }[];
}
export interface TableInfo {
  schema: string | null;
  name: string;
  kind: string;
  comment?: string | null;
  rowEstimate?: number | null;
  columns?: { name: string; type: string | null; nativeType: string | null; key?: string | null }[];
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly failure: Failure,
  ) {
    super(failure.message);
  }
}

const KEY = "nexus-credential";
const WHO = "nexus-who";

/** The credential lives as long as the tab, in no cookie and no URL. */
export const session = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (v: string) => (v ? sessionStorage.setItem(KEY, v) : sessionStorage.removeItem(KEY)),
  /** What the tab keeps of statements is for the one who wrote them. */
  belongs: (name: string) => {
    if ((sessionStorage.getItem(WHO) ?? name) !== name) {
      const credential = session.get();
      sessionStorage.clear();
      session.set(credential);
    }
    sessionStorage.setItem(WHO, name);
  },
};

export function headers(): Record<string, string> {
  const h: Record<string, string> = { Accept: "application/json" };
  if (session.get()) h["Authorization"] = "Bearer " + session.get();
  return h;
}

let expired: () => void = () => {};
/** Called when a credential that was good is not so any more. */
export const onExpired = (f: () => void): void => void (expired = f);

async function refused(r: Response): Promise<never> {
  let failure: Failure = { code: "HTTP_" + r.status, message: r.statusText || "HTTP " + r.status };
  try {
    failure = ((await r.json()) as { error?: Failure }).error ?? failure;
  } catch {
    /* not ours: a proxy's page */
  }
  if (r.status === 401) expired();
  throw new ApiError(r.status, failure);
}

export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const h = headers();
  if (body !== undefined) h["Content-Type"] = "application/json";
  const r = await fetch(path, { method, headers: h, body: body === undefined ? undefined : JSON.stringify(body) });
  if (!r.ok) return refused(r);
  if (r.status === 204) return undefined as T;
  return ((await r.json()) as { data: T }).data;
}

export interface RunSink {
  started(id: string): void;
  columns(columns: Column[]): void;
  row(values: unknown[]): unknown;
  bytes(n: number): void;
}

export async function run(body: Record<string, unknown>, signal: AbortSignal, sink: RunSink): Promise<End> {
  const r = await fetch("/api/v1/query", {
    method: "POST",
    headers: { ...headers(), "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!r.ok) return refused(r);
  sink.started(r.headers.get("X-Query-ID") ?? "");
  const reader = new RowReader(sink);
  const decoder = new TextDecoder();
  const body_ = r.body!.getReader();
  let total = 0;
  for (;;) {
    const { done, value } = await body_.read();
    if (done) break;
    total += value.length;
    reader.push(decoder.decode(value, { stream: true }));
    sink.bytes(total);
  }
  return reader.end();
}
