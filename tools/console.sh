#!/bin/bash
# Builds the web console into console/dist, which the gateway embeds. Nothing to do: milliseconds. Without npm or
# the registry the gateway is built without the console, and that is said here. NEXUS_REQUIRE_CONSOLE=1: it fails.
set -euo pipefail
cd "$(dirname "$0")/../console"
if [ -f dist/index.html ]; then
	newer=$(find . \( -path ./node_modules -o -path ./dist \) -prune -o -type f -newer dist/index.html -print -quit)
	[ -n "$newer" ] || exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
	echo "console: there is no npm; building without the web console" >&2
	exit 0
fi
echo "console: building the web console (some seconds)" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if { [ -d node_modules/vite ] || npm ci --no-audit --no-fund --loglevel=error; } >"$log" 2>&1 &&
	npm run --silent build >>"$log" 2>&1; then
	touch dist/index.html
else
	head -n 15 "$log" >&2
	echo "console: it could not be built; building without it" >&2
	rm -rf dist
	[ "${NEXUS_REQUIRE_CONSOLE:-}" != 1 ]
fi
