#!/bin/bash
# Fetches second opinions on SQL for the live tests of the gate, into .cache/parsers (no part of the product):
#   chdb-core  the ClickHouse engine as a library, 182 MB to fetch, 550 MB on disk
#   sqlglot    a parser of many dialects, 1 MB
# Pinned by checksum. Without them the tests that ask them say SKIP.
set -eu
cd "$(dirname "$0")/.."
home=.cache/parsers
stamp=$home/complete-1
[ -f $stamp ] && exit 0
echo "setup: fetching parsers for the gate's tests (182 MB, once)" >&2
mkdir -p $home
cat >$home/requirements.txt <<'PINS'
chdb-core==26.9.0 --hash=sha256:707e2ec3fe0f7953bac97942eaeb7a1ed1d66b1e56ecef3f0aa2130f61f6e735
sqlglot==30.30.0 --hash=sha256:06c4c212a7868c7dcff0fd0fda348dd3c5cbad40137b3083a70ecdfe22921cf9
PINS
{ python3 -m venv $home && $home/bin/python -m pip install -q --no-deps --require-hashes --no-cache-dir \
	--disable-pip-version-check -r $home/requirements.txt && touch $stamp; } >/dev/null 2>&1 ||
	echo "setup: no parsers here; the tests that need them will say so" >&2
