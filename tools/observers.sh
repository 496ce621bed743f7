#!/bin/sh
# Fetches what reads metrics, traces and PromQL in tests: the libraries of tools/observers.txt into
# .cache/venv, the grammar of tools/promql into .cache/promql, promtool into .cache/bin. What cannot be had is
# skipped by the test that wants it, with the reason.
set -eu
cd "$(dirname "$0")/.."
python=.cache/venv/bin/python
stamp=.cache/venv/observers-1
if [ ! -f $stamp ]; then
	echo "setup: installing readers of metrics and traces" >&2
	{ { [ -x $python ] || python3 -m venv .cache/venv; } &&
		$python -m pip install -q --disable-pip-version-check --require-hashes \
			-r tools/observers.txt && touch $stamp; } >/dev/null 2>&1 ||
		echo "setup: no readers here; the tests that need them will say so" >&2
fi
if ! cmp -s tools/promql/package-lock.json .cache/promql/package-lock.json && command -v npm >/dev/null 2>&1; then
	rm -rf .cache/promql && mkdir -p .cache/promql
	cp tools/promql/package.json tools/promql/package-lock.json .cache/promql/
	(cd .cache/promql && npm ci --ignore-scripts --no-audit --no-fund) >/dev/null 2>&1 || {
		rm -rf .cache/promql
		echo "setup: no PromQL grammar here; the test that needs it will say so" >&2
	}
fi
# Debian's promtool, out of its package: installing that would start a Prometheus.
if [ ! -x .cache/bin/promtool ] && command -v apt-get >/dev/null 2>&1; then
	at=$(mktemp -d)
	chmod 755 "$at"
	mkdir -p .cache/bin
	{ (cd "$at" && apt-get download -q prometheus && dpkg-deb -x prometheus_*.deb .) &&
		mv "$at/usr/bin/promtool" .cache/bin/; } >/dev/null 2>&1 ||
		echo "setup: no promtool here; the test that needs it will say so" >&2
	rm -rf "$at"
fi
