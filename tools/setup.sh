#!/bin/bash
# Installs what is missing on Debian 12, and says so. Nothing missing: no apt call, done in milliseconds.
#
#	tools/setup.sh [--list] run|test|bench ...
#
# Groups build on each other: `test` needs `run`, `bench` needs both. Needs root or sudo only when
# something is missing. Servers that come with a package are not started, and no PostgreSQL cluster
# is made: tests start their own in a scratch directory.
set -euo pipefail

# What building and running needs.
run="gcc g++ make meson ninja-build pkg-config python3 curl ca-certificates openssl
	libyaml-dev libzstd-dev zlib1g-dev libssl-dev libsqlite3-dev
	libpq-dev libmariadb-dev libpg-query-dev libcurl4-openssl-dev"
# What tests and lint need besides. mariadb-server-core has no service of its own.
test="postgresql-15 mariadb-server-core mariadb-client clang clang-format clang-tidy
	libclang-rt-14-dev node-llhttp python3-venv git zstd chromium fonts-wqy-microhei"
# Peers and load generators.
bench="postgresql-contrib pgbouncer wrk"

die() { echo "setup: $*" >&2; exit 1; }

list=no
groups=""
for a in "$@"; do
	case $a in
	--list) list=yes ;;
	run) groups+=" run" ;;
	test) groups+=" run test" ;;
	bench) groups+=" run test bench" ;;
	*) die "unknown group $a (run, test, bench)" ;;
	esac
done
[ -n "$groups" ] || groups=" run"

declare -A wanted=()
for g in $groups; do
	for p in ${!g}; do wanted[$p]=1; done
done
# Any npm will do: Debian's own is many small packages and slow to install.
command -v npm >/dev/null 2>&1 || { wanted[nodejs]=1; wanted[npm]=1; }
if [ $list = yes ]; then
	printf '%s\n' "${!wanted[@]}" | sort
	exit 0
fi

command -v dpkg-query >/dev/null 2>&1 ||
	die "this is not Debian; install the equivalents of: ${!wanted[*]}"
while read -r state package; do
	[ "$state" = installed ] && unset "wanted[$package]"
done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${!wanted[@]}" 2>/dev/null || true)
missing=$(printf '%s\n' "${!wanted[@]}" | sort | tr '\n' ' ')
missing=${missing% }
[ -n "$missing" ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 ||
		die "please install as root: apt-get install --no-install-recommends $missing"
	as_root=(sudo)
fi

echo "setup: installing with apt: $missing"
SECONDS=0
# One script under root, so that what it changes for the moment is put back whatever happens.
"${as_root[@]}" bash -s -- $missing <<'ROOT'
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
undo=()
trap 'for u in "${undo[@]}"; do eval "$u"; done' EXIT
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	undo+=("rm -f $policy")
fi
drop=/etc/postgresql-common/createcluster.d
if [ ! -e $drop/nexus-setup.conf ]; then
	[ -d /etc/postgresql-common ] || undo+=("rmdir --ignore-fail-on-non-empty /etc/postgresql-common 2>/dev/null || true")
	[ -d $drop ] || undo+=("rmdir --ignore-fail-on-non-empty $drop 2>/dev/null || true")
	mkdir -p $drop
	echo "create_main_cluster = false" >$drop/nexus-setup.conf
	undo=("rm -f $drop/nexus-setup.conf" "${undo[@]}")
fi
had_bouncer=$(dpkg-query -W -f '${db:Status-Status}' pgbouncer 2>/dev/null || true)
log=$(mktemp)
undo+=("rm -f $log")
run() { "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; echo "setup: failed: $*" >&2; exit 1; }; }
run apt-get update -q
run apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
# A bouncer nobody asked for must not come up with the next boot.
if [ "$had_bouncer" != installed ] && [ -d /run/systemd/system ]; then
	systemctl disable pgbouncer >/dev/null 2>&1 || true
fi
ROOT
echo "setup: done in $SECONDS s"
