#!/bin/sh
# arrow_check.sh BUILD SCRIPT ARG..: runs it with the first Python that has pyarrow: $NX_PYTHON, the
# one in BUILD/venv, python3.
build=$1
shift
for python in "$NX_PYTHON" "$build/venv/bin/python" python3; do
	if [ -n "$python" ] && "$python" -c 'import pyarrow' 2>/dev/null; then
		exec "$python" "$@"
	fi
done
echo '1..0 # SKIP no python3 with pyarrow (python3 -m venv <build>/venv; <build>/venv/bin/pip install pyarrow)'
