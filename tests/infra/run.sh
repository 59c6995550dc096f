#!/usr/bin/env bash
# Checks the templates and the container recipe, then tests them against the code. Arguments go to pytest. It wants target/debug/gateway, or the
# binary that TOLLGATE_GATEWAY_BIN names.
#
#   run.sh pin     writes requirements.txt anew from requirements.in
#   run.sh tools   installs the tools only, pinned, into .tools/infra (ignored by git)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$root/.tools/infra
export SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 LOG_LEVEL=ERROR

fail() { echo "infra: $*" >&2; exit 1; }

tools() {
  local wanted
  wanted=$(sha256sum < "$here/requirements.txt")
  [ "$(cat "$root/.tools/infra.stamp" 2> /dev/null)" = "$wanted" ] && [ -x "$venv/bin/sam" ] && return
  echo "infra: SAM, cfn-lint and checkov into .tools/infra"
  command -v python3 > /dev/null || fail "python3 is needed (3.11 or newer); install it and run this again"
  python3 -c 'import ensurepip, venv' 2> /dev/null || fail "python3 has no venv module; on Debian: apt-get install python3-venv"
  mkdir -p "$root/.tools"
  rm -rf "$venv" "$root/.tools/infra.stamp"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
  "$venv/bin/pip" check --disable-pip-version-check > /dev/null || fail "requirements.txt is not consistent"
  echo "$wanted" > "$root/.tools/infra.stamp"
}

pin() {
  local fresh
  fresh=$(mktemp -d)
  python3 -m venv "$fresh"
  "$fresh/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.in"
  { echo "# Written by run.sh pin from requirements.in."; "$fresh/bin/pip" freeze --all | grep -v "^pip=="; } > "$here/requirements.txt"
  rm -rf "$fresh"
}

checks() {
  "$venv/bin/cfn-lint" "$root"/infra/*.yaml
  local template
  for template in $(grep -l 'Transform: AWS::Serverless' "$root"/infra/*.yaml); do
    "$venv/bin/sam" validate --lint -t "$template"
  done
  "$venv/bin/checkov" --skip-download --compact --quiet --framework cloudformation dockerfile -d "$root/infra"
}

case "${1:-}" in
  pin) pin; exit ;;
  tools) tools; exit ;;
esac
tools
[ $# -gt 0 ] || checks
cd "$here"
exec "$venv/bin/python" -m pytest "$@"
