// Counts the tokens of a text from standard input with two tokenizers: {"o200k_base": n, "cl100k_base": n}.
import { createRequire } from "node:module";
const require = createRequire(process.env.NEXUS_MCP_MODULES + "/package.json");
const { Tiktoken } = require("js-tiktoken/lite");
let text = "";
for await (const piece of process.stdin) text += piece;
const count = (name) => new Tiktoken(require("js-tiktoken/ranks/" + name)).encode(text).length;
console.log(JSON.stringify({ o200k_base: count("o200k_base"), cl100k_base: count("cl100k_base") }));
