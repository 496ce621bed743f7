#!/bin/bash
# make run: install what is missing, build, serve the sample data, show one query, keep serving.
#
# Every step is skipped in milliseconds when there is nothing to do. State lives in .nexus/ (NEXUS_HOME);
# remove that folder to begin anew. PORT=... chooses the port (8080). Ctrl-C stops.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${BUILD:-build}
home=$(realpath -m "${NEXUS_HOME:-.nexus}")
port=${PORT:-8080}
config=${NEXUS_CONFIG:-examples/quickstart/nexus.yaml}
sql="SELECT region, count(*) AS orders, sum(amount) AS revenue FROM 'orders.parquet' GROUP BY region ORDER BY revenue DESC"
source_name=sample

say() { echo "run: $*"; }
die() { echo "run: $*" >&2; exit 1; }

tools/setup.sh run
tools/engine.sh
tools/console.sh
if [ ! -e "$build/build.ninja" ]; then
	say "configuring $build/"
	meson setup "$build" --buildtype=release >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
	rm -f "$build.log"
fi
if ! ninja -C "$build" -n | grep -q 'no work to do'; then
	say "compiling (half a minute the first time)"
	ninja -C "$build" -j"${JOBS:-$(nproc)}" --quiet
fi
nexus=$build/nexus
[ -x "$nexus" ] || nexus=$build/src/cli/nexus
[ -x "$nexus" ] || die "no nexus in $build/: the gateway program is not in this tree yet"

mkdir -p "$home"
chmod 700 "$home"
if [ -x tools/sample-data.sh ] && [ ! -e "$home/sample/.complete" ]; then
	say "writing sample data to $home/sample"
	tools/sample-data.sh "$home/sample"
	touch "$home/sample/.complete"
fi

# A gateway of an earlier `make run` still serves: use it.
running=no
portfile=$home/port
if [ -s "$portfile" ] && curl -fsS -m 1 "http://127.0.0.1:$(cat "$portfile")/livez" >/dev/null 2>&1; then
	running=yes
	say "already serving"
else
	rm -f "$portfile"
	log=$home/nexus.log
	NEXUS_HOME=$home "$nexus" serve -c "$config" --listen "127.0.0.1:$port" \
		--port-file "$portfile" 2>>"$log" &
	pid=$!
	stop() { kill -TERM "$pid" 2>/dev/null || true; }
	trap 'stop; wait "$pid" || true; echo; say "stopped"; exit 0' INT TERM
	trap stop EXIT
	for ((i = 0; i < 1500; i++)); do
		[ -s "$portfile" ] && break
		kill -0 "$pid" 2>/dev/null || { tail -5 "$log" >&2; die "the gateway did not start (log: $log)"; }
		sleep 0.01
	done
	[ -s "$portfile" ] || die "the gateway was not ready within 15 s (log: $log)"
fi

url=http://127.0.0.1:$(cat "$portfile")
body=$(printf '{"dataSource":"%s","sql":"%s"}' "$source_name" "$sql")
say "POST $url/api/v1/query"
echo "     $sql"
echo
# The key goes through standard input: an argument would show in the process list.
curl -sS -m 30 "$url/api/v1/query" -H 'Content-Type: application/json' -H 'Accept: text/csv' \
	-H @- -d "$body" <<<"X-API-Key: $(cat "$home/admin.key")" |
	awk -F, '{ for (i = 1; i <= NF; i++) printf "%-12s", $i; print "" }'
echo
echo "Try it yourself:"
echo
echo "curl -s $url/api/v1/query -H \"X-API-Key: \$(cat $home/admin.key)\" -H 'Content-Type: application/json' -d '${body//\'/\'\\\'\'}'"
echo
if [ $running = yes ]; then
	exit 0
fi
say "serving on $url (Ctrl-C stops; log: $home/nexus.log)"
wait "$pid"
