import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { chartColumns, scale } from "../src/chart.ts";
import { bytes, cellText, csv, fromBytes, json, keys, Nested, visible } from "../src/format.ts";
import { messages } from "../src/i18n.ts";
import { identifier } from "../src/names.ts";
import { RowReader, type Column } from "../src/stream.ts";

function read(chunks: string[]) {
  const columns: Column[][] = [];
  const rows: unknown[][] = [];
  const reader = new RowReader({ columns: (c) => columns.push(c), row: (r) => rows.push(r) });
  for (const c of chunks) reader.push(c);
  return { columns, rows, end: reader.end() };
}

const columns = [
  { name: 'a "rows":[ in a name', type: "string" },
  { name: "b\\", type: "int64" },
];
const rows = [
  ["plain", "9223372036854775807"],
  ['quote " backslash \\ bracket ] brace }', "12345678901234567890.000000000000000001"],
  ["中文 🦆 \u0000 \n", null],
  [new Nested('{"deep": [12345678901234567890, {"x\\"": "]},\\\\"}, 1.10]}'), new Nested("[]")],
  ["", "NULL"],
];
const written = rows.map((r) => "[" + r.map((v) => (v instanceof Nested ? v.text : JSON.stringify(v))).join(",") + "]").join(",\n");
const answer = JSON.stringify({
  success: true,
  data: { columns, rows: [], metadata: { rowCount: rows.length, executionTimeMs: 3, hasMore: true } },
  correlationId: "x",
}).replace('"rows":[]', `"rows":[\n${written}]`);

test("an answer cut into two at any place reads the same", () => {
  const want = read([answer]);
  assert.deepEqual(want.rows, rows);
  assert.deepEqual(want.columns, [columns]);
  assert.equal(want.end.metadata?.rowCount, rows.length);
  for (let i = 0; i <= answer.length; i++) assert.deepEqual(read([answer.slice(0, i), answer.slice(i)]), want, `cut at ${i}`);
  assert.deepEqual(read([...answer]), want);
});

test("bytes cut inside of a character read the same", () => {
  const all = new TextEncoder().encode(answer);
  for (const size of [1, 2, 3, 5]) {
    const decoder = new TextDecoder();
    const chunks: string[] = [];
    for (let i = 0; i < all.length; i += size) chunks.push(decoder.decode(all.subarray(i, i + size), { stream: true }));
    assert.deepEqual(read(chunks).rows, rows);
  }
});

test("an answer that breaks off says so, wherever", () => {
  for (let i = 0; i < answer.length; i++) assert.equal(read([answer.slice(0, i)]).end.error?.code, "CUT_OFF", `cut at ${i}`);
});

test("an error in the place of rows, and one behind them", () => {
  assert.equal(read(['{"success":false,"error":{"code":"RO_STATEMENT","message":"no"}}']).end.error?.code, "RO_STATEMENT");
  const late = answer.replace('"success":true,', "").replace('"metadata":{', '"x":{').replace(/}}?,"correlationId":"x"}$/, '}},"error":{"code":"SOURCE_LOST","message":"gone"}}');
  const got = read([late]);
  assert.equal(got.rows.length, rows.length);
  assert.equal(got.end.error?.code, "SOURCE_LOST");
});

test("no rows", () => {
  const got = read([JSON.stringify({ data: { columns, rows: [], metadata: { rowCount: 0 } } })]);
  assert.deepEqual(got.rows, []);
  assert.equal(got.end.metadata?.rowCount, 0);
});

test("values keep every digit, NULL and empty text differ", () => {
  assert.equal(cellText("99999999999999999999999999999999999999"), "99999999999999999999999999999999999999");
  assert.equal(cellText(null), "NULL");
  assert.equal(cellText(""), "");
  assert.equal(cellText(false), "false");
  assert.equal(csv(["a", "b,c"], [[null, ""], ['x"y', "1\r\n2"]]), 'a,"b,c"\r\n,""\r\n"x""y","1\r\n2"\r\n');
  assert.equal(cellText(-0), "-0");
  assert.equal(cellText(new Nested("[9007199254740993]")), "[9007199254740993]");
  assert.deepEqual(JSON.parse(json(["a", ""], [["9223372036854775807", null]])), [{ a: "9223372036854775807", "": null }]);
  assert.deepEqual(JSON.parse(json(["a"], [])), []);
  assert.equal(bytes(1023), "1023 B");
  assert.equal(bytes(1024 * 1024 * 3), "3.0 MiB");
});

test("a file has every column and digit, in the order they stand in", () => {
  const text = json(["b", "a", "b", "1", "b_2"], [[new Nested("[9007199254740993]"), -0, "x", null, '"']]);
  assert.equal(text, '[\n {"b": [9007199254740993], "a": -0, "b_3": "x", "1": null, "b_2": "\\""}\n]\n');
  assert.deepEqual(keys(["a", "a", "a", "a_2"]), ["a", "a_3", "a_4", "a_2"]);
});

test("a name is quoted where it has to be, as the source wants it", () => {
  for (const plain of ["id", "order_id", "_x1", "名称"]) for (const type of ["postgresql", "mysql", "sqlite", "duckdb"]) assert.equal(identifier(plain, type), plain);
  assert.equal(identifier("Name", "postgresql"), '"Name"');
  assert.equal(identifier("Name", "mysql"), "Name");
  assert.equal(identifier("order", "mariadb"), "`order`");
  assert.equal(identifier("Order", "sqlite"), '"Order"');
  assert.equal(identifier("1a", "sqlite"), '"1a"');
  assert.equal(identifier('a "b`', "duckdb"), '"a ""b`"');
  assert.equal(identifier('a "b`', "mysql"), '`a "b```');
  assert.equal(identifier("", "postgresql"), '""');
});

test("lists and objects are indented, and nothing else is done to them", () => {
  const text = '{"a": 12345678901234567890,"b":[1.10, "x: [ \\" ]",{ } , []],"c":{"d":null}}';
  const out = new Nested(text).indented();
  assert.equal(out, '{\n  "a": 12345678901234567890,\n  "b": [\n    1.10,\n    "x: [ \\" ]",\n    { },\n    []\n  ],\n  "c": {\n    "d": null\n  }\n}');
  assert.deepEqual(JSON.parse(out), JSON.parse(text));
});

test("a byte offset of the gateway is a place in the text", () => {
  assert.equal(fromBytes("SELECT 'ü' x", 10), 9);
  assert.equal(fromBytes("'🦆'x", 6), 4);
  assert.equal(fromBytes("abc", 99), 3);
});

test("the window of rows", () => {
  assert.deepEqual(visible(0, 280, 28, 100_000, 12), [0, 22]);
  assert.deepEqual(visible(28 * 50_000, 280, 28, 100_000, 12), [49_988, 50_022]);
  assert.deepEqual(visible(28 * 99_990, 280, 28, 100_000, 12), [99_978, 100_000]);
  assert.deepEqual(visible(0, 280, 28, 0, 12), [0, 0]);
  assert.deepEqual(visible(9_999, 280, 28, 3, 12), [3, 3]);
});

test("a chart chooses a name and a number", () => {
  const cols = ["s", "n", "m"].map((name) => ({ name, type: "string" }));
  assert.deepEqual(chartColumns(cols, [["x", "1.5", 2]]), { label: 0, value: 1 });
  assert.deepEqual(chartColumns(cols, [["1", "x", null]]), { label: 1, value: 0 });
  assert.equal(chartColumns(cols, [["x", "y", "z"]]), null);
  assert.equal(chartColumns(cols, []), null);
});

test("a scale has round numbers and holds all values", () => {
  assert.deepEqual(scale(0, 156_900), [0, 50_000, 100_000, 150_000, 200_000]);
  assert.deepEqual(scale(-3, 7), [-5, -2.5, 0, 2.5, 5, 7.5]);
  assert.deepEqual(scale(0, 0), [0, 0.25]);
  for (const [low, high] of [[0, 1e-9], [-1e12, 0], [0, 97], [-0.3, 0.7]] as const) {
    const marks = scale(low, high);
    assert.ok(marks[0]! <= low && marks[marks.length - 1]! >= high * (1 - 1e-9) && marks.length < 9, `${low}..${high}: ${marks}`);
  }
});

test("both languages say everything that is asked for, and nothing else is kept", () => {
  assert.deepEqual(Object.keys(messages.zh).sort(), Object.keys(messages.en).sort());
  for (const [lang, all] of Object.entries(messages)) for (const [k, v] of Object.entries(all)) assert.ok(v.trim(), `${lang}.${k}`);
  const folder = process.env["CONSOLE_SOURCES"] ?? "src";
  const text = readdirSync(folder).filter((f) => f !== "i18n.ts").map((f) => readFileSync(`${folder}/${f}`, "utf8")).join("\n");
  const made = /^(health|status|outcome|state)_|^(queries|live|history|activate|deactivate)$/; // keys that are put together, or listed
  for (const m of text.matchAll(/\bt\("(\w+)"/g)) assert.ok(m[1]! in messages.en, m[1]);
  for (const k of Object.keys(messages.en)) assert.ok(made.test(k) || text.includes(`t("${k}")`), `${k} is not used`);
});
