#!/bin/bash
# Fetches the DuckDB library for the embedded engine (pinned by checksum, kept in .cache/).
# Without network the gateway builds all the same, without the duckdb driver; that is said here.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x tools/fetch-duckdb.sh ] || exit 0
tools/fetch-duckdb.sh >/dev/null || {
	echo "engine: could not fetch libduckdb; building without the duckdb driver" >&2
	[ "${NEXUS_REQUIRE_ENGINE:-}" != 1 ]
}
