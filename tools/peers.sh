#!/bin/sh
# Fetches what judges the token manager and the Vault client in tests, pinned by checksum, into .cache/peers:
# an OAuth server (npm oauth2-mock-server), AWS's signer (botocore) and Vault's Python client (hvac). What
# cannot be had is skipped by the test that wants it, with the reason.
set -eu
cd "$(dirname "$0")/.."
to=.cache/peers
if ! cmp -s tools/peers/python.txt $to/python/python.txt; then
	echo "setup: installing botocore and hvac for tests" >&2
	rm -rf $to/python
	{ { [ -x .cache/venv/bin/python ] || python3 -m venv .cache/venv; } &&
		.cache/venv/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: \
			--require-hashes --no-deps -r tools/peers/python.txt --target $to/python &&
		cp tools/peers/python.txt $to/python/; } >/dev/null 2>&1 || {
		rm -rf $to/python
		echo "setup: no botocore and hvac here; the tests that need them will say so" >&2
	}
fi
if ! cmp -s tools/peers/package-lock.json $to/npm/package-lock.json && command -v npm >/dev/null 2>&1; then
	echo "setup: installing an OAuth server for tests" >&2
	rm -rf $to/npm && mkdir -p $to/npm
	cp tools/peers/package.json tools/peers/package-lock.json $to/npm/
	(cd $to/npm && npm ci --ignore-scripts --no-audit --no-fund) >/dev/null 2>&1 || {
		rm -rf $to/npm
		echo "setup: no OAuth server here; the test that needs it will say so" >&2
	}
fi
