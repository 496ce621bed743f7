#!/bin/sh
# Fetches the official MCP client libraries and a tokenizer from npm into .cache/mcp, as tests/mcp/package-lock.json
# pins them (versions and checksums). Without them the tests that want them say SKIP; nothing else needs them.
set -eu
cd "$(dirname "$0")/.."
lock=tests/mcp/package-lock.json
if [ -f .cache/mcp/done ] && cmp -s $lock .cache/mcp/done; then exit 0; fi
if ! command -v npm >/dev/null 2>&1; then
	echo "setup: no npm here; the tests with MCP client libraries will say so" >&2
	exit 0
fi
echo "setup: fetching MCP client libraries for tests" >&2
mkdir -p .cache/mcp
cp tests/mcp/package.json $lock .cache/mcp/
if (cd .cache/mcp && npm ci --ignore-scripts --no-audit --no-fund) >/dev/null 2>&1; then
	cp $lock .cache/mcp/done
else
	echo "setup: the MCP client libraries cannot be had; the tests that want them will say so" >&2
fi
