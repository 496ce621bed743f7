import { headers } from "./api.ts";
import { fill, h, type Child } from "./dom.ts";

interface Schema {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  description?: string;
  additionalProperties?: Schema | boolean;
}
interface Operation {
  operationId: string;
  summary: string;
  security?: unknown[];
  parameters?: { name: string; in: string; required?: boolean; schema?: Schema; description?: string }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { description?: string; content?: Record<string, { schema?: Schema }> }>;
}
interface Spec {
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const app = document.getElementById("app")!;
document.documentElement.dataset["theme"] = localStorage.getItem("nexus-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

const words = (s?: Schema): string =>
  !s ? "" : s.$ref ? s.$ref.split("/").pop()! : s.enum && s.enum.length < 12 ? s.enum.map((v) => JSON.stringify(v)).join(" | ") : s.type === "array" ? words(s.items) + "[]" : (s.type ?? "any");

function members(spec: Spec, s: Schema | undefined): Child {
  const named = s?.$ref ? spec.components.schemas[s.$ref.split("/").pop()!] : s;
  if (!named?.properties) return h("p", { class: "kind" }, words(s));
  return h(
    "table",
    {},
    h("tbody", {}, ...Object.entries(named.properties).map(([k, v]) => h("tr", {}, h("td", {}, h("code", {}, k), named.required?.includes(k) ? " *" : ""), h("td", { class: "kind" }, words(v)), h("td", {}, v.description ?? "")))),
  );
}

function curl(method: string, path: string, op: Operation): string {
  const auth = op.security?.length === 0 ? "" : ' -H "Authorization: Bearer $NEXUS_TOKEN"';
  const body = op.requestBody ? " -H 'Content-Type: application/json' -d @body.json" : "";
  return `curl -s${method === "get" ? "" : " -X " + method.toUpperCase()}${auth}${body} ${location.origin}${path}`;
}

function section(spec: Spec, path: string, method: string, op: Operation): HTMLElement {
  const out = h("pre", { class: "answer" });
  const plain = method === "get" && !path.includes("{");
  const ask = async (): Promise<void> => {
    const r = await fetch(path, { headers: headers() });
    const text = await r.text();
    let shown = text;
    try {
      shown = JSON.stringify(JSON.parse(text), null, 1);
    } catch {
      /* not JSON */
    }
    out.textContent = `HTTP ${r.status}\n${shown.slice(0, 20_000)}`;
  };
  const ok = Object.entries(op.responses).find(([s]) => s.startsWith("2"));
  const answer = ok?.[1].content && Object.entries(ok[1].content)[0];
  return h(
    "details",
    { class: "operation", id: op.operationId },
    h("summary", {}, h("span", { class: "method " + method }, method.toUpperCase()), h("code", {}, path), h("span", { class: "hint" }, op.summary)),
    h("pre", {}, curl(method, path, op)),
    op.parameters?.length ? h("h3", {}, "Parameters") : null,
    op.parameters?.length ? h("table", {}, h("tbody", {}, ...op.parameters.map((p) => h("tr", {}, h("td", {}, h("code", {}, p.name), p.required ? " *" : ""), h("td", { class: "kind" }, p.in), h("td", {}, p.description ?? words(p.schema)))))) : null,
    op.requestBody ? h("h3", {}, "Body") : null,
    op.requestBody ? members(spec, Object.values(op.requestBody.content)[0]?.schema) : null,
    h("h3", {}, "Answers"),
    h("p", {}, Object.keys(op.responses).join(" · "), answer ? " — " + answer[0] : ""),
    answer ? members(spec, answer[1].schema) : null,
    plain ? h("button", { click: () => void ask() }, "Try it") : null,
    plain ? out : null,
  );
}

async function start(): Promise<void> {
  const spec = (await (await fetch("/openapi.json")).json()) as Spec;
  const groups = new Map<string, HTMLElement[]>();
  for (const [path, methods] of Object.entries(spec.paths)) {
    const group = path.split("/")[3] ?? "service";
    for (const [method, op] of Object.entries(methods)) groups.set(group, [...(groups.get(group) ?? []), section(spec, path, method, op)]);
  }
  fill(
    app,
    h(
      "div",
      { class: "docs" },
      h("header", {}, h("a", { href: "/", class: "mark", "aria-label": "Console" }), h("h1", {}, `${spec.info.title} ${spec.info.version}`), h("a", { class: "quiet", href: "/openapi.json" }, "openapi.json")),
      h("main", {}, ...[...groups].sort().map(([name, list]) => h("section", {}, h("h2", {}, name), ...list))),
    ),
  );
}

void start();
