#!/bin/sh
# A MariaDB server of our own for tests: a scratch directory, a free loopback port.
#
#	eval "$(tests/servers/mariadb.sh start)"     sets NX_MARIADB_DIR _PORT _SOCKET _PID _USER _PASSWORD
#	tests/servers/mariadb.sh stop "$NX_MARIADB_DIR"
#	tests/servers/mariadb.sh run COMMAND ..      with these in its environment; stops it afterwards
#
# `start --ssl` also makes a CA and a server certificate for 127.0.0.1: NX_MARIADB_CA.
# Further mariadbd options follow after `--`. The account holds ALL PRIVILEGES on purpose: the
# read-only proofs are worth something only with a login that could write.
set -eu

die() {
	echo "mariadb.sh: $*" >&2
	exit 1
}

free_port() {
	perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1",
		LocalPort => 0, Listen => 1) or die; print $s->sockport'
}

certificates() { # dir
	openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=nexus-test-ca \
		-keyout "$1/ca.key" -out "$1/ca.pem" 2>"$1/openssl.log"
	openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout "$1/server.key" \
		-out "$1/server.csr" 2>>"$1/openssl.log"
	printf 'subjectAltName=DNS:localhost,DNS:127.0.0.1,IP:127.0.0.1\n' >"$1/ext"
	openssl x509 -req -in "$1/server.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial \
		-days 3 -extfile "$1/ext" -out "$1/server.pem" 2>>"$1/openssl.log"
}

ready() { # socket pid
	i=0
	while [ $i -lt 150 ]; do
		mariadb --no-defaults -u root -S "$1" -e 'DO 1' >/dev/null 2>&1 && return 0
		kill -0 "$2" 2>/dev/null || return 1
		sleep 0.2
		i=$((i + 1))
	done
	return 1
}

start() {
	ssl=
	if [ "${1-}" = --ssl ]; then
		ssl=yes
		shift
	fi
	if [ "${1-}" = -- ]; then
		shift
	fi
	command -v mariadbd >/dev/null || die "mariadbd is not installed"
	dir=$(mktemp -d "${TMPDIR:-/tmp}/nexus-mariadb.XXXXXX")
	user=$(id -un)
	if [ "$user" = root ]; then
		user=mysql # made by Debian's mariadb-server; the core package alone does without
		id mysql >/dev/null 2>&1 || user=nobody
		chown "$user" "$dir"
		chmod 755 "$dir"
	fi
	mariadb-install-db --no-defaults --user="$user" --datadir="$dir/data" \
		--auth-root-authentication-method=normal --skip-test-db >"$dir/install.log" 2>&1 ||
		die "mariadb-install-db failed, see $dir/install.log"
	if [ "$ssl" ]; then
		certificates "$dir" || die "openssl failed, see $dir/openssl.log"
		if [ "$user" != "$(id -un)" ]; then
			chown "$user" "$dir/server.key"
		fi
		set -- --ssl-cert="$dir/server.pem" --ssl-key="$dir/server.key" --ssl-ca="$dir/ca.pem" "$@"
	fi
	try=0
	while :; do
		port=$(free_port)
		mariadbd --no-defaults --user="$user" --datadir="$dir/data" --port="$port" \
			--bind-address=127.0.0.1 --socket="$dir/s" --pid-file="$dir/pid" \
			--skip-name-resolve --innodb-buffer-pool-size=64M --innodb-log-file-size=32M \
			--innodb-flush-log-at-trx-commit=0 --max-connections=200 --secure-file-priv= \
			"$@" >"$dir/log" 2>&1 </dev/null &
		pid=$!
		ready "$dir/s" "$pid" && break
		try=$((try + 1))
		[ $try -lt 3 ] || die "mariadbd did not start, see $dir/log" # the port may have been taken
	done
	mariadb --no-defaults -u root -S "$dir/s" -e "
		CREATE DATABASE nx CHARACTER SET utf8mb4;
		CREATE USER nexus@'%' IDENTIFIED BY 'nexus-secret';
		GRANT ALL PRIVILEGES ON *.* TO nexus@'%' WITH GRANT OPTION;
		CREATE USER reader@'%' IDENTIFIED BY 'reader-secret';
		GRANT SELECT ON nx.* TO reader@'%';"
	cat <<-END
		NX_MARIADB_DIR='$dir'
		NX_MARIADB_PORT=$port
		NX_MARIADB_SOCKET='$dir/s'
		NX_MARIADB_PID=$pid
		NX_MARIADB_USER=nexus
		NX_MARIADB_PASSWORD=nexus-secret
		NX_MARIADB_CA='$dir/ca.pem'
	END
}

stop() { # dir
	case ${1-} in
	*/nexus-mariadb.*) ;;
	*) die "not a directory of mine: ${1-}" ;;
	esac
	if [ -f "$1/pid" ]; then
		pid=$(cat "$1/pid")
		kill "$pid" 2>/dev/null || :
		i=0
		while kill -0 "$pid" 2>/dev/null && [ $i -lt 100 ]; do
			sleep 0.1
			i=$((i + 1))
		done
		kill -9 "$pid" 2>/dev/null || :
	fi
	rm -rf "$1"
}

run() {
	command -v mariadbd >/dev/null || {
		echo "1..0 # SKIP mariadbd is not installed"
		exit 0
	}
	vars=$(start --ssl)
	eval "$vars"
	export NX_MARIADB_DIR NX_MARIADB_PORT NX_MARIADB_SOCKET NX_MARIADB_PID NX_MARIADB_USER \
		NX_MARIADB_PASSWORD NX_MARIADB_CA
	trap 'stop "$NX_MARIADB_DIR"' EXIT
	trap 'exit 143' TERM INT HUP
	"$@"
}

case ${1-} in
run)
	shift
	run "$@"
	;;
start)
	shift
	start "$@"
	;;
stop) stop "${2-}" ;;
*) die "usage: mariadb.sh start [--ssl] [-- mariadbd options] | stop DIR | run COMMAND" ;;
esac
