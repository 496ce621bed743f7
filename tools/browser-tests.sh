#!/bin/sh
# Fetches what the console's tests in a browser need besides Debian's chromium: a driver for it (tools/browser.txt,
# into .cache/venv) and axe-core (tests/console/package-lock.json, into .cache/console-tests). What cannot be had is
# skipped by the test that wants it, with the reason.
set -eu
cd "$(dirname "$0")/.."
python=.cache/venv/bin/python
stamp=.cache/venv/browser-1
if [ ! -f $stamp ]; then
	echo "setup: installing a browser driver for tests" >&2
	{ { [ -x $python ] || python3 -m venv .cache/venv; } &&
		$python -m pip install -q --disable-pip-version-check --require-hashes \
			-r tools/browser.txt && touch $stamp; } >/dev/null 2>&1 ||
		echo "setup: no browser driver here; the tests that need it will say so" >&2
fi
lock=tests/console/package-lock.json
if ! cmp -s $lock .cache/console-tests/done && command -v npm >/dev/null 2>&1; then
	rm -rf .cache/console-tests && mkdir -p .cache/console-tests
	cp tests/console/package.json $lock .cache/console-tests/
	if (cd .cache/console-tests && npm ci --ignore-scripts --no-audit --no-fund) >/dev/null 2>&1; then
		cp $lock .cache/console-tests/done
	else
		echo "setup: no axe-core here; the test that needs it will say so" >&2
	fi
fi
