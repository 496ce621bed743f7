#!/bin/sh
# Writes the bundled sample data to a folder: tools/sample-data.sh DIR (about a second, always the same).
set -eu
[ $# = 1 ] || { echo "usage: tools/sample-data.sh DIR" >&2; exit 64; }
here=$(cd "$(dirname "$0")" && pwd)
engine=${NEXUS_ENGINE:-$here/../${BUILD:-build}/src/engine/nexus-engine}
case ${BUILD:-} in /*) engine=${NEXUS_ENGINE:-$BUILD/src/engine/nexus-engine} ;; esac
[ -x "$engine" ] || { echo "sample-data: $engine is not built (is DuckDB there? tools/fetch-duckdb.sh)" >&2; exit 1; }
mkdir -p "$1"
"$engine" --script "$here/sample-data.sql" "$1" >/dev/null
