#!/bin/sh
# Puts python's cryptography, pinned by checksum, into .cache/venv: the tests' token issuer signs with it.
# Without it those tests say SKIP; nothing else needs it.
set -eu
cd "$(dirname "$0")/.."
python=.cache/venv/bin/python
if [ -x $python ] && [ -f .cache/venv/issuer ]; then exit 0; fi
echo "setup: installing cryptography for the token issuer's tests" >&2
{ [ -x $python ] || python3 -m venv .cache/venv; } >/dev/null 2>&1 &&
	$python -m pip install -q --disable-pip-version-check --only-binary :all: --require-hashes \
		-r tools/issuer.txt >/dev/null 2>&1 && touch .cache/venv/issuer ||
	echo "setup: no cryptography here; the tests that need it will say so" >&2
