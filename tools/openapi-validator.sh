#!/bin/sh
# Puts openapi-spec-validator and openapi-schema-validator (PyPI) into .cache/venv: a second opinion on /openapi.json
# and on the tests' own checker of answers. Without them that test says SKIP; nothing else needs them.
set -eu
cd "$(dirname "$0")/.."
python=.cache/venv/bin/python
stamp=.cache/venv/openapi-1
if [ -f $stamp ]; then exit 0; fi
echo "setup: installing the OpenAPI validators" >&2
{ { [ -x $python ] || python3 -m venv .cache/venv; } &&
	$python -m pip install -q --disable-pip-version-check openapi-spec-validator==0.7.2 \
		openapi-schema-validator==0.6.3 && touch $stamp; } >/dev/null 2>&1 ||
	echo "setup: no OpenAPI validators here; the test that wants them will say so" >&2
