# The documented commands. Each is thin: the work is in Meson and in tools/, tests/ and bench/.

BUILD ?= build
JOBS ?= $(shell nproc)
export BUILD JOBS

.DEFAULT_GOAL := build
.PHONY: console help build setup engine run test check lint lint-fast asan tsan fuzz bench clean install \
	format docs ci

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

build: $(BUILD)/build.ninja ## compile into build/ (release)
	@ninja -C $(BUILD) -j$(JOBS)

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo "meson is missing: run 'make setup'" >&2; exit 1; }
	@meson setup $(BUILD) --buildtype=release

setup: ## install what building and running needs (Debian packages, the engine library)
	@tools/setup.sh run
	@tools/engine.sh

run: ## install, build, start on sample data, show one query, keep serving
	@tools/run.sh

test: ## install what tests need, start own servers, run everything
	@tools/test-tools.sh
	@tests/run.py $(TESTS)

console: ## build the web console into console/dist (needs npm)
	@tools/console.sh

check: build ## unit tests only
	@tests/run.py unit

lint: ## all lint gates: both compilers, layers, headers, format, docs, words
	@tests/lint.py

lint-fast: ## the lint gates that need no build
	@tests/lint.py layers format docs words

asan: ## the suite under AddressSanitizer and UBSan
	@tools/test-tools.sh
	@tests/run.py --sanitize asan $(TESTS)

tsan: ## the API tests under ThreadSanitizer
	@tools/test-tools.sh
	@tests/run.py --sanitize tsan unit api

fuzz: ## every fuzz target for FUZZ_SECONDS (20) each
	@tools/setup.sh test
	@tools/fuzz.sh

bench: ## the measurements of docs/performance.md
	@tools/setup.sh bench
	@tools/engine.sh
	@$(MAKE) --no-print-directory build
	@bench/run.sh

format: ## bring the C files into the pinned style
	@tests/lint.py --fix format

docs: ## generated reference pages
	@tools/gen_docs.py

ci: ## what continuous integration runs
	@bash .ci/run

install: build ## install to PREFIX as configured (meson), DESTDIR honoured
	@meson install -C $(BUILD) --no-rebuild

clean: ## remove build directories; .nexus and .cache stay
	@rm -rf build build-*
