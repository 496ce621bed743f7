#!/bin/bash
# A throw-away PostgreSQL 15 for tests: free loopback port, scratch directory, not root.
#
#   postgres.sh start [OWNER_PID]   prints NX_PG_DIR, NX_PG_HOST, NX_PG_PORT, NX_PG_USER (a superuser),
#                                   NX_PG_PASSWORD as shell assignments; when OWNER_PID ends, so does
#                                   the server
#   postgres.sh stop DIR            stops it and removes DIR
#   postgres.sh run COMMAND...      runs a command with those variables, then stops the server
#   NX_PG_CONF="a=b;c=d" adds settings; NX_PG_ENCODING, NX_PG_TLS=1 (self-signed) choose the rest.
set -eu
BIN=${NX_PG_BIN:-/usr/lib/postgresql/15/bin}
SELF=$(readlink -f "$0")

as_user() {
	if [ "$(id -u)" = 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

stop() {
	dir=$1
	[ -f "$dir/nx-scratch" ] || { echo "postgres.sh: $dir is not a scratch server" >&2; exit 2; }
	as_user "$BIN/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
	rm -rf "$dir"
}

free_port() {
	for _ in $(seq 100); do
		port=$((20000 + RANDOM % 12000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
	return 1
}

start() {
	owner=${1:-}
	dir=$(mktemp -d "${TMPDIR:-/tmp}/nx-pg.XXXXXX")
	touch "$dir/nx-scratch"
	password="pw-$RANDOM$RANDOM"
	echo "$password" >"$dir/pw"
	[ "$(id -u)" != 0 ] || chown -R postgres "$dir"
	cd "$dir"
	if ! as_user "$BIN/initdb" -D "$dir/data" -U nx_super -A scram-sha-256 --pwfile="$dir/pw" \
		-E "${NX_PG_ENCODING:-UTF8}" --no-locale -N >"$dir/initdb.log" 2>&1; then
		cat "$dir/initdb.log" >&2
		rm -rf "$dir"
		exit 1
	fi
	{
		echo "listen_addresses = '127.0.0.1'"
		echo "unix_socket_directories = '$dir'"
		echo "fsync = off"
		echo "shared_buffers = 64MB"
		echo "max_connections = 300"
		echo "${NX_PG_CONF:-}" | tr ';' '\n'
		if [ -n "${NX_PG_TLS:-}" ]; then
			echo "ssl = on"
		fi
	} >>"$dir/data/postgresql.conf"
	if [ -n "${NX_PG_TLS:-}" ]; then
		openssl req -new -x509 -days 2 -nodes -subj /CN=localhost -out "$dir/data/server.crt" \
			-keyout "$dir/data/server.key" 2>/dev/null
		chmod 600 "$dir/data/server.key"
		[ "$(id -u)" != 0 ] || chown postgres "$dir/data/server.crt" "$dir/data/server.key"
	fi
	for _ in 1 2 3 4 5; do
		port=$(free_port)
		if as_user "$BIN/pg_ctl" -D "$dir/data" -l "$dir/log" -w -o "-p $port" start \
			>/dev/null 2>&1; then
			if [ -n "$owner" ]; then
				# Detached from our pipes, or whoever reads them would wait for it.
				setsid bash -c "while kill -0 $owner 2>/dev/null; do sleep 1; done
					'$SELF' stop '$dir'" </dev/null >/dev/null 2>&1 &
			fi
			printf 'NX_PG_DIR=%s\nNX_PG_HOST=127.0.0.1\nNX_PG_PORT=%s\nNX_PG_USER=nx_super\nNX_PG_PASSWORD=%s\n' \
				"$dir" "$port" "$password"
			return
		fi
	done
	cat "$dir/log" >&2
	rm -rf "$dir"
	exit 1
}

run() {
	vars=$(start $$)
	eval "$vars"
	export NX_PG_DIR NX_PG_HOST NX_PG_PORT NX_PG_USER NX_PG_PASSWORD
	trap 'stop "$NX_PG_DIR"' EXIT
	trap 'exit 143' TERM INT
	"$@"
}

case ${1:-} in
run) shift; run "$@" ;;
start) start "${2:-}" ;;
stop) stop "$2" ;;
*) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
