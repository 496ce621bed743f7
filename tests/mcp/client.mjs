// Drives an official MCP client library by steps read as JSON from standard input; one JSON line an answer.
//   {"url", "library": "client" | "sdk", "era": "auto" | "legacy", "headers": {}, "steps": [..]}
// A step is {"do": "list"}, {"do": "ping"}, {"do": "call", "name", "arguments", "abortAfterMs"?}.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

let text = "";
for await (const piece of process.stdin) text += piece;
const job = JSON.parse(text);
const require = createRequire(process.env.NEXUS_MCP_MODULES + "/package.json");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const say = (value) => console.log(JSON.stringify(value));

const pick = async () => {
  if (job.library === "client") return load("@modelcontextprotocol/client");
  const a = await load("@modelcontextprotocol/sdk/client/index.js");
  const b = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
  return { ...a, ...b };
};
const { Client, StreamableHTTPClientTransport } = await pick();
const options = job.library === "client" ? { versionNegotiation: { mode: job.era } } : {};
const client = new Client({ name: "nexus-test", version: "1" }, options);
const transport = new StreamableHTTPClientTransport(new URL(job.url), { requestInit: { headers: job.headers } });

const run = async (step) => {
  if (step.do === "list") return client.listTools();
  if (step.do === "ping") return client.ping();
  const abort = new AbortController();
  if (step.abortAfterMs) setTimeout(() => abort.abort("enough"), step.abortAfterMs);
  const call = { name: step.name, arguments: step.arguments };
  const more = { signal: abort.signal, timeout: 60000 };
  return job.library === "client" ? client.callTool(call, more) : client.callTool(call, undefined, more);
};

try {
  await client.connect(transport);
  say({
    server: client.getServerVersion(),
    version: job.library === "client" ? client.getNegotiatedProtocolVersion() : transport.protocolVersion,
    session: transport.sessionId ?? null,
  });
  for (const step of job.steps) {
    try {
      say({ ok: await run(step) });
    } catch (e) {
      say({ failed: String(e), code: e.code ?? null });
    }
  }
  await client.close();
} catch (e) {
  say({ refused: String(e), code: e.code ?? null, status: e.status ?? e.data?.status ?? null });
}
process.exit(0);
