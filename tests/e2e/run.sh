#!/usr/bin/env bash
# The whole end-to-end suite; arguments go to pytest. It wants target/debug/{gateway,test-servers}, or the binaries that
# TOLLGATE_GATEWAY_BIN and TOLLGATE_TEST_SERVERS_BIN name; with TOLLGATE_E2E_BUILD=1 it builds them first.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
"$here/setup.sh"
if [ "${TOLLGATE_E2E_BUILD:-}" = 1 ]; then
  (cd "$root" && cargo build --quiet -p tollgate-gateway -p tollgate-test-servers)
fi
cd "$here"
exec "$root/.tools/venv/bin/python" -m pytest "$@"
