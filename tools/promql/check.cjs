// Reads a JSON array of PromQL texts; prints, for each, null or what does not parse. The grammar is Prometheus' own.
const { parser } = require(process.argv[2] + "/@prometheus-io/lezer-promql");
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(texts.map((text) => {
	let bad = null;
	parser.parse(text).iterate({
		enter(node) {
			if (node.type.isError && bad === null)
				bad = "at " + node.from + ": " + text.slice(Math.max(0, node.from - 20), node.from + 20);
		},
	});
	return bad;
})));
