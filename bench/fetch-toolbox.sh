#!/bin/sh
# Fetches MCP Toolbox, a REST peer for the benchmark, through npm into .cache/toolbox, once; pinned by
# checksum. Without it the benchmark runs and says that the peer is not there.
set -eu
cd "$(dirname "$0")/.."
dir=.cache/toolbox
package=@toolbox-sdk/server-linux-x64@1.12.0
integrity=iuNySuUXxQtrUrrXXeJxGS7NmgSf2h/1hhvCeCsWsqZ3J4iLR66PJMAfKDLOho/z+bkiuJK9cSw0hrUKrtqu3w==
[ ! -x "$dir/toolbox" ] || exit 0
[ "$(uname -m)" = x86_64 ] || { echo "bench: no pinned MCP Toolbox for $(uname -m)" >&2; exit 0; }
mkdir -p "$dir"
tmp=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT INT TERM
echo "bench: fetching $package ..." >&2
tgz=$tmp/$(cd "$tmp" && npm pack --silent "$package" | tail -n 1)
[ "$(openssl dgst -sha512 -binary "$tgz" | base64 -w0)" = "$integrity" ] ||
	{ echo "bench: $package is not the pinned package" >&2; exit 1; }
tar -xzf "$tgz" -C "$tmp"
mv "$(find "$tmp/package" -name toolbox -type f)" "$dir/toolbox"
chmod +x "$dir/toolbox"
