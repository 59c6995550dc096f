#!/usr/bin/env bash
# The whole end-to-end suite; arguments go to pytest. It wants target/debug/{gateway,test-servers,rate-limiter,budget}, or
# the binaries that TOLLGATE_{GATEWAY,TEST_SERVERS,RATE_LIMITER,BUDGET}_BIN name; with TOLLGATE_E2E_BUILD=1 it builds them first.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
"$here/setup.sh"
if [ "${TOLLGATE_E2E_BUILD:-}" = 1 ]; then
  (cd "$root" && cargo build --quiet -p tollgate-gateway -p tollgate-test-servers -p tollgate-rate-limiter -p tollgate-budget)
fi
cd "$here"
exec "$root/.tools/venv/bin/python" -m pytest "$@"
