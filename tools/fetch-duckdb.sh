#!/bin/sh
# Fetches the DuckDB library and its C header through npm into .cache/duckdb, once.
#
#   tools/fetch-duckdb.sh          fetch what is missing, print the folder
#   tools/fetch-duckdb.sh --check  only say whether it is there (status 1: no)
#
# The versions are pinned by checksum; docs/decisions/002-duckdb-version.md says why these.
# The library comes from the package of the Node bindings, the header from the last package that
# carried sources; it declares a subset of what the library has.
set -eu

cd "$(dirname "$0")/.."
dir=${NEXUS_DUCKDB_DIR:-.cache/duckdb}

version=1.5.6
case $(uname -m) in
x86_64) arch=x64
	lib_sum=3f4962cdd266eab2b479a5b5a4a6d063d279b2954ae814ed00385d553b747633
	lib_integrity=IXcrZJE6kEqM0Z4wwdVnGBHX/frOS33VPNAwDXQ/Q+Fs84b058Qe94chrCCIcNJlG8Y3UHIUU4eBeCQxW5mN1Q== ;;
*) arch= ;;
esac
lib_package=@duckdb/node-bindings-linux-$arch@$version-r.1
header_package=duckdb@1.4.4
header_integrity=hEJJ5hyVF0VLj3dmOLpsWrQR0b3d4Ykqtygm6iUXjHJDDnSqg/USKxcb5qvNrOhFYPgktayU6dXCtgPqcmmpog==
header_sum=cbe6a827284375c5a646b8f27dbd3a00808ce8738b5bbb49c190cb1e08540281

die() { echo "fetch-duckdb: $*" >&2; exit 1; }
sum_ok() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }

# the stamp spares hashing 70 MB on every start
stamp=$dir/stamp-$lib_sum-$header_sum
ready() { [ -n "$arch" ] && [ -f "$stamp" ] && [ -f "$dir/lib/libduckdb.so" ] && [ -f "$dir/include/duckdb.h" ]; }

if ready; then echo "$dir"; exit 0; fi
[ "${1:-}" != --check ] || exit 1
[ -n "$arch" ] || die "no pinned DuckDB library for $(uname -m); the gateway builds without it"
command -v npm >/dev/null || die "npm is missing: apt-get install npm"

mkdir -p "$dir/lib" "$dir/include"
tmp=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT INT TERM

# fetch PACKAGE INTEGRITY: sets $tgz
fetch() {
	echo "fetch-duckdb: fetching $1 ..." >&2
	tgz=$(cd "$tmp" && npm pack --silent "$1" | tail -n 1) || die "npm cannot fetch $1"
	tgz=$tmp/$tgz
	[ -f "$tgz" ] || die "npm fetched nothing for $1"
	got=$(openssl dgst -sha512 -binary "$tgz" | base64 -w0)
	[ "$got" = "$2" ] || die "$1 is not the pinned package (sha512 $got)"
}

if ! sum_ok "$dir/lib/libduckdb.so" "$lib_sum"; then
	fetch "$lib_package" "$lib_integrity"
	tar -xzf "$tgz" -C "$tmp" package/libduckdb.so package/LICENSE
	sum_ok "$tmp/package/libduckdb.so" "$lib_sum" || die "libduckdb.so has a wrong checksum"
	mv -f "$tmp/package/LICENSE" "$dir/LICENSE"
	mv -f "$tmp/package/libduckdb.so" "$dir/lib/libduckdb.so"
fi
if ! sum_ok "$dir/include/duckdb.h" "$header_sum"; then
	fetch "$header_package" "$header_integrity"
	tar -xzf "$tgz" -C "$tmp" package/src/duckdb/src/include/duckdb.h
	sum_ok "$tmp/package/src/duckdb/src/include/duckdb.h" "$header_sum" || die "duckdb.h has a wrong checksum"
	mv -f "$tmp/package/src/duckdb/src/include/duckdb.h" "$dir/include/duckdb.h"
fi
rm -f "$dir"/stamp-*
: >"$stamp"
echo "fetch-duckdb: DuckDB $version is in $dir" >&2
echo "$dir"
