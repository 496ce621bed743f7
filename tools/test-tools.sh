#!/bin/bash
# Installs all that the tests use: Debian packages, the engine library, the console, and the programs of others that
# they are measured against. What cannot be fetched is said; its tests print SKIP.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh test
for part in engine console pyarrow linters parsers issuer peers observers mcp-clients openapi-validator browser-tests; do
	"tools/$part.sh"
done
