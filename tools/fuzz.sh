#!/bin/bash
# Builds every fuzz target (fuzz/*.c) with libFuzzer, ASan and UBSan, and runs each for FUZZ_SECONDS.
#
#	tools/fuzz.sh [target ...]
#
# Starts from the corpus in fuzz/corpus/<target>/; what it finds new stays in .cache/fuzz/<target>/.
# A crash leaves its input there and fails. Targets are Meson executables named fuzz_<target>.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-20}
build=build-fuzz
if [ ! -e $build/build.ninja ]; then
	CC=clang CXX=clang++ meson setup $build -Dfuzz=true -Db_sanitize=address,undefined \
		-Db_lundef=false --buildtype=release -Doptimization=1 >$build.log 2>&1 ||
		{ cat $build.log >&2; exit 1; }
	rm -f $build.log
fi
mapfile -t targets < <(meson introspect --targets $build | python3 -c '
import json, sys
for t in json.load(sys.stdin):
    if t["type"] == "executable" and t["name"].startswith("fuzz_"):
        print(t["name"][5:], t["filename"][0])')
passed=0 failed=0
for line in "${targets[@]}"; do
	name=${line%% *} program=${line#* }
	if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
	ninja -C $build -j"${JOBS:-2}" --quiet "${program#"$PWD/$build/"}"
	work=.cache/fuzz/$name
	mkdir -p "$work" "fuzz/corpus/$name" 2>/dev/null || mkdir -p "$work"
	if ! "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$work/crash-" "$work" "fuzz/corpus/$name" >"$work.log" 2>&1; then
		failed=$((failed + 1))
		echo "FAIL fuzz/$name"
		tail -n 40 "$work.log" | sed 's/^/  | /'
	else
		passed=$((passed + 1))
		echo "ok   fuzz/$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work.log") inputs in $seconds s"
	fi
done
rmdir fuzz/corpus/* fuzz/corpus 2>/dev/null || true
if [ ${#targets[@]} = 0 ]; then
	echo "SKIP fuzz: there is no fuzz target yet"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
