#!/bin/bash
# Builds a Debian package from a finished build directory.
#
#	deploy/debian/build.sh [OUTPUT_DIR]		(BUILD=build)
#
# The packages it depends on are those that own the libraries it is linked with here, so build it on the
# release that it is for.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
out=$(realpath -m "${1:-$build/deb}")
version=$("$build/nexus" version | awk '{print $2}')
arch=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$out" "$root"/DEBIAN "$root"/usr/share/doc/nexus-gateway "$root"/lib/systemd/system "$root"/etc/nexus
chmod 755 "$root"
# What is installed finds its library by $ORIGIN, so it may move from one prefix to another.
DESTDIR="$root/staged" meson install -C "$build" --no-rebuild --strip --quiet
prefix=$(meson introspect "$build" --buildoptions | python3 -c '
import json, sys
print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
cp -r "$root/staged$prefix/." "$root/usr/"
rm -r "$root/staged"
if [ ! -d "$root/usr/lib/nexus" ]; then # another libdir than this project's default
	mkdir -p "$root/usr/lib"
	mv "$root"/usr/lib/*/nexus "$root/usr/lib/nexus"
fi
install -m 644 deploy/systemd/nexus-gateway.service "$root/lib/systemd/system/"
install -m 640 deploy/debian/nexus.yaml "$root/etc/nexus/nexus.yaml"
install -m 644 docs/*.md NEWS.md README.md "$root/usr/share/doc/nexus-gateway/"
mkdir "$root/usr/share/doc/nexus-gateway/examples"
cp -r examples/sources examples/production "$root/usr/share/doc/nexus-gateway/examples/"

depends=$(for f in "$root"/usr/bin/*; do objdump -p "$f" | awk '$1 == "NEEDED" {print $2}'; done | sort -u |
	grep -v '^libduckdb' | while read -r lib; do
		path=$(ldconfig -p | awk -v l="$lib" '$1 == l {print $NF; exit}')
		dpkg-query -S "$(realpath "$path")" 2>/dev/null || dpkg-query -S "$path"
	done | sed 's/:.*//' | sort -u | paste -sd, | sed 's/,/, /g')

cat >"$root/DEBIAN/control" <<CONTROL
Package: nexus-gateway
Version: $version
Architecture: $arch
Maintainer: Nexus-Gateway <nexus-gateway@localhost>
Section: database
Priority: optional
Depends: adduser, ca-certificates, $depends
Installed-Size: $(du -sk "$root" | cut -f1)
Description: read-only SQL door to every data source
 One program that puts a read-only SQL interface over HTTP in front of databases, warehouses and
 files. It streams exact, typed rows in constant memory and lets nothing through that writes.
CONTROL
echo /etc/nexus/nexus.yaml >"$root/DEBIAN/conffiles"
install -m 755 deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm "$root/DEBIAN/"
deb=$out/nexus-gateway_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$deb" >/dev/null
echo "$deb"
