#!/bin/bash
# make bench: everything of docs/performance.md in one run, side by side, on this machine.
# Arguments name sections (point rows memory parquet clients start); none means all.
set -euo pipefail
cd "$(dirname "$0")/.."
bench/fetch-toolbox.sh || echo "bench: without MCP Toolbox" >&2
exec python3 bench/bench.py "$@"
