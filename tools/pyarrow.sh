#!/bin/sh
# Makes .cache/venv with pyarrow, which reads our Arrow streams back in a test. Without it that test says
# SKIP; nothing else needs it.
set -eu
cd "$(dirname "$0")/.."
python=.cache/venv/bin/python
if [ -x $python ] && [ -f .cache/venv/pyarrow ]; then exit 0; fi
echo "setup: installing pyarrow for the Arrow test" >&2
{ python3 -m venv .cache/venv && $python -m pip install -q --disable-pip-version-check pyarrow==21.0.0 &&
	touch .cache/venv/pyarrow; } >/dev/null 2>&1 ||
	echo "setup: no pyarrow here; the test that needs it will say so" >&2
