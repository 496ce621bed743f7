#!/bin/bash
# Fetches the DuckDB library for the embedded engine (pinned by checksum, kept in .cache/).
# Without network the gateway builds all the same, without the duckdb driver; that is said here.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/fetch-duckdb.sh --check >/dev/null 2>&1 && exit 0
if tools/fetch-duckdb.sh >/dev/null; then
	touch meson.build # a build directory that was configured without the library looks again
else
	echo "engine: could not fetch libduckdb; building without the duckdb driver" >&2
	[ "${NEXUS_REQUIRE_ENGINE:-}" != 1 ]
fi
